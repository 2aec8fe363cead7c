// A SQLite VFS over the default one whose writes and syncs fail on order. For tests; process-wide, any thread.
#ifndef MARTLET_CFAULTVFS_H
#define MARTLET_CFAULTVFS_H

#include <stdint.h>

/// Registers the VFS under the name "fault". Once.
int fault_vfs_register(void);
/// From now on the `nth` write (1 is the next) and, if `forever`, every later one fails with SQLITE code `code`; 0: never.
void fault_vfs_writes(int64_t nth, int forever, int code);
void fault_vfs_syncs(int64_t nth, int forever, int code);
/// Nothing fails any more; counters start at 0.
void fault_vfs_reset(void);
int64_t fault_vfs_write_count(void);
int64_t fault_vfs_sync_count(void);

#endif
