// Preloaded into a server under test: makes writes to and syncs of regular files fail, at the word of a control file.
//   FAULTIO=/path/to/control, a file of 16 bytes that this library maps:
//   [0] != 0  every fsync/fdatasync fails with EIO      [1] != 0  every write/pwrite fails with ENOSPC
//   [2] != 0  every write/pwrite fails with EIO         [4..7]   little-endian microseconds added to each sync
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile unsigned char *control;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("FAULTIO");
    if (!path) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void *p = mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) control = p;
    close(fd);
}

static int regular(int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
}

static int write_fault(int fd) {
    if (!control || !(control[1] | control[2]) || !regular(fd)) return 0;
    errno = control[1] ? ENOSPC : EIO;
    return 1;
}

static int sync_fault(int fd) {
    if (!control || !regular(fd)) return 0;
    uint32_t us = control[4] | control[5] << 8 | control[6] << 16 | (uint32_t)control[7] << 24;
    if (us) usleep(us);
    if (!control[0]) return 0;
    errno = EIO;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
ssize_t write(int fd, const void *p, size_t n) { return write_fault(fd) ? -1 : REAL(write)(fd, p, n); }
ssize_t pwrite(int fd, const void *p, size_t n, off_t o) { return write_fault(fd) ? -1 : REAL(pwrite)(fd, p, n, o); }
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t o) { return write_fault(fd) ? -1 : REAL(pwrite64)(fd, p, n, o); }
int fsync(int fd) { return sync_fault(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return sync_fault(fd) ? -1 : REAL(fdatasync)(fd); }
