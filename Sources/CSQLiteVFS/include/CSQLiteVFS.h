// A SQLite VFS for the one writing connection: small sequential writes to the write-ahead log are put together and reach
// the file in one system call, at the latest before its sync. SQLite writes two pieces for each page; a group commit
// has hundreds.
#ifndef MARTLET_CSQLITEVFS_H
#define MARTLET_CSQLITEVFS_H

/// Registers the VFS `martlet-log` over the VFS called `base` (NULL: the default) and returns its name, or NULL when
/// there is no such base or no memory. Registering over another base gives another name. Idempotent; any thread.
///
/// Only for connections with synchronous=FULL: they sync the log before they tell readers of a commit, so nobody looks
/// for what is still in the buffer. What cannot be written is reported by the sync, and is forgotten then.
const char *mt_log_vfs(const char *base);

#endif
