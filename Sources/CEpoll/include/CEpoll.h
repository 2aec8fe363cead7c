// System calls that Swift's Glibc overlay does not see, and those whose errno must be read before ARC can disturb it.
// Every function returns the call's value, or -errno.
#ifndef MARTLET_CEPOLL_H
#define MARTLET_CEPOLL_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline int64_t mt_value(int64_t r) { return r < 0 ? -(int64_t)errno : r; }

// epoll
static inline int32_t mt_epoll_create(void) { return (int32_t)mt_value(epoll_create1(EPOLL_CLOEXEC)); }
static inline int32_t mt_epoll_add(int ep, int fd, uint32_t events, uint64_t data) {
    struct epoll_event e = {.events = events, .data.u64 = data};
    return (int32_t)mt_value(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}
static inline int32_t mt_epoll_mod(int ep, int fd, uint32_t events, uint64_t data) {
    struct epoll_event e = {.events = events, .data.u64 = data};
    return (int32_t)mt_value(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e));
}
static inline int32_t mt_epoll_del(int ep, int fd) { return (int32_t)mt_value(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL)); }
static inline int32_t mt_epoll_wait(int ep, struct epoll_event *out, int max, int timeout_ms) {
    return (int32_t)mt_value(epoll_wait(ep, out, max, timeout_ms));
}
static inline uint64_t mt_event_data(const struct epoll_event *e) { return e->data.u64; }

// eventfd
static inline int32_t mt_eventfd(void) { return (int32_t)mt_value(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }
static inline int32_t mt_eventfd_blocking(void) { return (int32_t)mt_value(eventfd(0, EFD_CLOEXEC)); }
static inline int32_t mt_eventfd_signal(int fd) {
    uint64_t one = 1;
    return (int32_t)mt_value(write(fd, &one, sizeof one));
}
static inline int32_t mt_eventfd_drain(int fd) {
    uint64_t n;
    return (int32_t)mt_value(read(fd, &n, sizeof n));
}

// descriptors
/// 1 when `fd` is readable, 0 when the time ran out, -errno.
static inline int32_t mt_poll_readable(int fd, int timeout_ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return (int32_t)mt_value(poll(&p, 1, timeout_ms));
}
static inline int64_t mt_read(int fd, void *p, size_t n) { return mt_value(read(fd, p, n)); }
static inline int64_t mt_write(int fd, const void *p, size_t n) { return mt_value(write(fd, p, n)); }
static inline int64_t mt_send(int fd, const void *p, size_t n) { return mt_value(send(fd, p, n, MSG_NOSIGNAL)); }
static inline int64_t mt_sendv(int fd, const struct iovec *v, int n) {
    struct msghdr m;
    memset(&m, 0, sizeof m);
    m.msg_iov = (struct iovec *)v;
    m.msg_iovlen = (size_t)n;
    return mt_value(sendmsg(fd, &m, MSG_NOSIGNAL));
}
static inline int64_t mt_pread(int fd, void *p, size_t n, int64_t off) { return mt_value(pread(fd, p, n, off)); }
static inline int64_t mt_pwrite(int fd, const void *p, size_t n, int64_t off) { return mt_value(pwrite(fd, p, n, off)); }
static inline int32_t mt_duplicate(int fd) { return (int32_t)mt_value(fcntl(fd, F_DUPFD_CLOEXEC, 3)); }
static inline int32_t mt_close(int fd) { return (int32_t)mt_value(close(fd)); }
static inline int32_t mt_open(const char *path, int flags, uint32_t mode) {
    return (int32_t)mt_value(open(path, flags | O_CLOEXEC, mode));
}
static inline int32_t mt_fsync(int fd) { return (int32_t)mt_value(fsync(fd)); }
static inline int32_t mt_fdatasync(int fd) { return (int32_t)mt_value(fdatasync(fd)); }
static inline int32_t mt_unlink(const char *path) { return (int32_t)mt_value(unlink(path)); }
static inline int32_t mt_mkdir(const char *path, uint32_t mode) { return (int32_t)mt_value(mkdir(path, mode)); }
static inline int32_t mt_rename(const char *a, const char *b) { return (int32_t)mt_value(rename(a, b)); }
static inline int32_t mt_ftruncate(int fd, int64_t n) { return (int32_t)mt_value(ftruncate(fd, n)); }
static inline int64_t mt_file_size(int fd) {
    struct stat s;
    int r = fstat(fd, &s);
    return r < 0 ? -(int64_t)errno : (int64_t)s.st_size;
}
static inline int32_t mt_lock_exclusive(int fd) { return (int32_t)mt_value(flock(fd, LOCK_EX | LOCK_NB)); }
static inline int32_t mt_set_nonblocking(int fd) {
    int f = fcntl(fd, F_GETFL);
    return f < 0 ? -errno : (int32_t)mt_value(fcntl(fd, F_SETFL, f | O_NONBLOCK));
}
static inline int32_t mt_set_blocking(int fd) {
    int f = fcntl(fd, F_GETFL);
    return f < 0 ? -errno : (int32_t)mt_value(fcntl(fd, F_SETFL, f & ~O_NONBLOCK));
}
/// Bytes an unprivileged writer may still put on the file system of `path`, or -errno.
static inline int64_t mt_disk_free(const char *path) {
    struct statvfs v;
    return statvfs(path, &v) < 0 ? -(int64_t)errno : (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}

// sockets
static inline int32_t mt_socket(int domain, int type) {
    return (int32_t)mt_value(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}
static inline int32_t mt_bind(int fd, const struct sockaddr_storage *a, uint32_t n) {
    return (int32_t)mt_value(bind(fd, (const struct sockaddr *)a, n));
}
static inline int32_t mt_listen(int fd, int backlog) { return (int32_t)mt_value(listen(fd, backlog)); }
int32_t mt_accept(int fd, struct sockaddr_storage *a, uint32_t *n);
static inline int32_t mt_connect(int fd, const struct sockaddr_storage *a, uint32_t n) {
    return (int32_t)mt_value(connect(fd, (const struct sockaddr *)a, n));
}
static inline int32_t mt_socket_error(int fd) {
    int e = 0;
    socklen_t n = sizeof e;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0 ? -errno : -e;
}
static inline int32_t mt_local_address(int fd, struct sockaddr_storage *a, uint32_t *n) {
    *n = sizeof *a;
    return (int32_t)mt_value(getsockname(fd, (struct sockaddr *)a, n));
}
static inline int32_t mt_set_int(int fd, int level, int name, int value) {
    return (int32_t)mt_value(setsockopt(fd, level, name, &value, sizeof value));
}
static inline int32_t mt_reuse_port(int fd) {
    int32_t r = mt_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    return r < 0 ? r : mt_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}
static inline int32_t mt_shutdown_write(int fd) { return (int32_t)mt_value(shutdown(fd, SHUT_WR)); }
static inline int32_t mt_chmod(const char *path, uint32_t mode) { return (int32_t)mt_value(chmod(path, mode)); }
/* 1: a socket, 0: something else, -ENOENT: nothing. A link is not followed. */
static inline int32_t mt_is_socket(const char *path) {
    struct stat s;
    int r = lstat(path, &s);
    return r < 0 ? -errno : S_ISSOCK(s.st_mode) ? 1 : 0;
}
/* 1: a process listens on the Unix socket, 0: nobody does, or -errno. */
int32_t mt_unix_answers(const char *path);
static inline int32_t mt_fchmod(int fd, uint32_t mode) { return (int32_t)mt_value(fchmod(fd, mode)); }
static inline int32_t mt_bind_no_port(int fd) { return mt_set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1); }
static inline int32_t mt_v6_only(int fd) { return mt_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1); }
static inline int32_t mt_no_delay(int fd) { return mt_set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); }
/// user id of the process at the other end of a Unix socket, or -errno.
int64_t mt_peer_uid(int fd);

// time, randomness, threads
static inline uint64_t mt_monotonic_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline int64_t mt_wall_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static inline int64_t mt_random(void *p, size_t n) { return mt_value(getrandom(p, n, 0)); }
/// Which loop this thread runs; 0 is none. Read by `assertOnLoop()`.
extern _Thread_local uint64_t mt_loop_id;
static inline uint64_t mt_get_loop_id(void) { return mt_loop_id; }
static inline void mt_set_loop_id(uint64_t id) { mt_loop_id = id; }
void mt_name_thread(const char *name);
// The addresses of this machine's interfaces: at most `max` entries of 17 octets, a length (4 or 16) and the address.
int32_t mt_local_addresses(uint8_t *out, int32_t max);
/// Keeps freed memory of message bodies (chunks of 256 KiB) in the heap instead of giving each back to the system: half the
/// CPU of a large message went into mapping and clearing pages. At most `keep` bytes at the top of each arena are kept.
void mt_tune_heap(int keep);

// signals
static inline int32_t mt_signalfd_block(const int *signals, int count) {
    sigset_t s;
    sigemptyset(&s);
    for (int i = 0; i < count; i++) sigaddset(&s, signals[i]);
    int e = pthread_sigmask(SIG_BLOCK, &s, NULL);
    if (e) return -e;
    return (int32_t)mt_value(signalfd(-1, &s, SFD_CLOEXEC));
}
/// The next signal, waiting for it; or -errno.
static inline int32_t mt_signalfd_read(int fd) {
    struct signalfd_siginfo i;
    ssize_t r = read(fd, &i, sizeof i);
    return r == (ssize_t)sizeof i ? (int32_t)i.ssi_signo : (r < 0 ? -errno : -EIO);
}
static inline void mt_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }
/// Raises the soft limit of descriptors to the hard one; the limit in force.
static inline uint64_t mt_raise_nofile(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0) return 1024;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    getrlimit(RLIMIT_NOFILE, &r);
    return (uint64_t)r.rlim_cur;
}

/// The soft limit of descriptors now: it may be changed from outside.
static inline int64_t mt_descriptor_limit(void) {
    struct rlimit r;
    return getrlimit(RLIMIT_NOFILE, &r) < 0 ? -(int64_t)errno : (int64_t)r.rlim_cur;
}
/// Open descriptors of the process, or -errno. Newer kernels tell it as the size of a folder; otherwise `listing`, opened
/// once on that folder with `opendir`, is counted. Needs no descriptor of its own.
int64_t mt_descriptor_count(DIR *listing);
/// Gives free memory inside the heap back to the system.
void mt_trim_heap(void);
// After mt_trim_heap: as much as this may stay free at the end of an arena again.
void mt_keep_heap(int keep);
// Octets that the heap has and nobody uses, given back or not.
size_t mt_heap_free(void);

#include "InProgress.h"
#include "Supervise.h"

#endif
