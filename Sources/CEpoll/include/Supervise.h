// A parent that keeps listening sockets and starts a child with them. Every function returns its value, or -errno.
#ifndef MARTLET_SUPERVISE_H
#define MARTLET_SUPERVISE_H

#include <stdint.h>
#include <sys/types.h>

/// A copy of `fd` out of the way of the descriptors a child gets, closed in children.
int32_t mt_keep_descriptor(int fd);
/// Starts the program of this process with `arguments` and `environment`; `descriptors` become 3, 4, … in it, no signal is
/// blocked and none ignored. The child's id.
int32_t mt_spawn_self(
    char *const *arguments, char *const *environment, const int32_t *descriptors, int32_t count);
/// The end of a child, without waiting: its id, 0: it lives.
int32_t mt_reap(int32_t child, int32_t *status, int32_t *signal);
/// This process gets `signal` when the thread that started it ends. Fails with ESRCH when `parent` is not its parent.
int32_t mt_die_with_parent(int32_t parent, int signal);

#endif
