#define _GNU_SOURCE
#include "CEpoll.h"

#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { kept_from = 256 };

int32_t mt_keep_descriptor(int fd) { return (int32_t)mt_value(fcntl(fd, F_DUPFD_CLOEXEC, kept_from)); }

int32_t mt_spawn_self(
    char *const *arguments, char *const *environment, const int32_t *descriptors, int32_t count) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int e = posix_spawn_file_actions_init(&files);
    if (e) return -e;
    e = posix_spawnattr_init(&attributes);
    if (e) {
        posix_spawn_file_actions_destroy(&files);
        return -e;
    }
    // The originals are above, so that no copy overwrites one that is still to be copied.
    for (int32_t i = 0; i < count && !e; i++) e = posix_spawn_file_actions_adddup2(&files, descriptors[i], 3 + i);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (!e) e = posix_spawnattr_setsigmask(&attributes, &none);
    if (!e) e = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!e) e = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t child = -1;
    if (!e) e = posix_spawn(&child, "/proc/self/exe", &files, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return e ? -e : (int32_t)child;
}

int32_t mt_reap(int32_t child, int32_t *status, int32_t *signal) {
    int how = 0;
    pid_t ended = waitpid(child, &how, WNOHANG);
    if (ended <= 0) return ended < 0 ? -errno : 0;
    *status = WIFEXITED(how) ? WEXITSTATUS(how) : 0;
    *signal = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    return (int32_t)ended;
}

int32_t mt_die_with_parent(int32_t parent, int signal) {
    if (prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0, 0, 0) < 0) return -errno;
    // It may have ended before.
    return getppid() == (pid_t)parent ? 0 : -ESRCH;
}
