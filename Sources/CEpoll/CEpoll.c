// What glibc shows only to _GNU_SOURCE; the header must not define it, or its types would differ from SwiftGlibc's.
#define _GNU_SOURCE
#include "CEpoll.h"

#include <ifaddrs.h>
#include <malloc.h>

_Thread_local uint64_t mt_loop_id = 0;

int32_t mt_accept(int fd, struct sockaddr_storage *a, uint32_t *n) {
    *n = sizeof *a;
    return (int32_t)mt_value(accept4(fd, (struct sockaddr *)a, n, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int64_t mt_peer_uid(int fd) {
    struct ucred c;
    socklen_t n = sizeof c;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) < 0 ? -(int64_t)errno : (int64_t)c.uid;
}

int32_t mt_unix_answers(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path) return -ENAMETOOLONG;
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int r = connect(fd, (struct sockaddr *)&a, sizeof a);
    int code = errno;
    close(fd);
    // EAGAIN: somebody listens, and has more to accept than fits.
    return r == 0 || code == EAGAIN ? 1 : code == ECONNREFUSED || code == ENOENT ? 0 : -code;
}

void mt_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

void mt_tune_heap(int keep) {
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, keep);
    mallopt(M_TOP_PAD, 4 << 20);
}

int32_t mt_local_addresses(uint8_t *out, int32_t max) {
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) < 0) return -errno;
    int32_t count = 0;
    for (struct ifaddrs *i = list; i && count < max; i = i->ifa_next) {
        if (!i->ifa_addr) continue;
        uint8_t *entry = out + 17 * (size_t)count;
        if (i->ifa_addr->sa_family == AF_INET) {
            entry[0] = 4;
            memcpy(entry + 1, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, 4);
        } else if (i->ifa_addr->sa_family == AF_INET6) {
            entry[0] = 16;
            memcpy(entry + 1, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, 16);
        } else {
            continue;
        }
        count++;
    }
    freeifaddrs(list);
    return count;
}

int64_t mt_descriptor_count(DIR *listing) {
    struct stat s;
    if (stat("/proc/self/fd", &s) == 0 && s.st_size > 0) return s.st_size;
    if (!listing) return -ENOENT;
    int64_t n = 0;
    rewinddir(listing);
    for (struct dirent *e; (e = readdir(listing));) n += e->d_name[0] != '.';
    return n;
}

void mt_trim_heap(void) {
    // The top of an arena is only given back by a `free` in that arena that finds it larger than this, and by itself glibc
    // raises it to as much as 64 MiB: a reactor would keep them for ever after a flood.
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    malloc_trim(0);
}
void mt_keep_heap(int keep) { mallopt(M_TRIM_THRESHOLD, keep); }
size_t mt_heap_free(void) { return mallinfo2().fordblks; }
