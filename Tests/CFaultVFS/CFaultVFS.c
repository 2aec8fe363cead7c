#include "CFaultVFS.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

typedef struct {
    _Atomic int64_t count, nth;
    _Atomic int forever, code;
} Fault;

static Fault writes, syncs;
static sqlite3_vfs *real;
static sqlite3_vfs vfs;

typedef struct {
    sqlite3_file base;
    sqlite3_file *inner;
} File;

static int hit(Fault *f) {
    int64_t n = atomic_fetch_add(&f->count, 1) + 1, nth = atomic_load(&f->nth);
    if (nth == 0 || n < nth) return SQLITE_OK;
    return n == nth || atomic_load(&f->forever) ? atomic_load(&f->code) : SQLITE_OK;
}

#define INNER(f) (((File *)(f))->inner)

static int f_close(sqlite3_file *f) { return INNER(f)->pMethods ? INNER(f)->pMethods->xClose(INNER(f)) : SQLITE_OK; }
static int f_read(sqlite3_file *f, void *p, int n, sqlite3_int64 o) { return INNER(f)->pMethods->xRead(INNER(f), p, n, o); }
static int f_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 o) {
    int r = hit(&writes);
    return r ? r : INNER(f)->pMethods->xWrite(INNER(f), p, n, o);
}
static int f_truncate(sqlite3_file *f, sqlite3_int64 n) { return INNER(f)->pMethods->xTruncate(INNER(f), n); }
static int f_sync(sqlite3_file *f, int flags) {
    int r = hit(&syncs);
    return r ? r : INNER(f)->pMethods->xSync(INNER(f), flags);
}
static int f_size(sqlite3_file *f, sqlite3_int64 *n) { return INNER(f)->pMethods->xFileSize(INNER(f), n); }
static int f_lock(sqlite3_file *f, int l) { return INNER(f)->pMethods->xLock(INNER(f), l); }
static int f_unlock(sqlite3_file *f, int l) { return INNER(f)->pMethods->xUnlock(INNER(f), l); }
static int f_reserved(sqlite3_file *f, int *r) { return INNER(f)->pMethods->xCheckReservedLock(INNER(f), r); }
static int f_control(sqlite3_file *f, int op, void *a) { return INNER(f)->pMethods->xFileControl(INNER(f), op, a); }
static int f_sector(sqlite3_file *f) { return INNER(f)->pMethods->xSectorSize(INNER(f)); }
static int f_device(sqlite3_file *f) { return INNER(f)->pMethods->xDeviceCharacteristics(INNER(f)); }
static int f_map(sqlite3_file *f, int r, int n, int e, void volatile **p) { return INNER(f)->pMethods->xShmMap(INNER(f), r, n, e, p); }
static int f_shmlock(sqlite3_file *f, int o, int n, int l) { return INNER(f)->pMethods->xShmLock(INNER(f), o, n, l); }
static void f_barrier(sqlite3_file *f) { INNER(f)->pMethods->xShmBarrier(INNER(f)); }
static int f_unmap(sqlite3_file *f, int d) { return INNER(f)->pMethods->xShmUnmap(INNER(f), d); }

// Version 2: no memory mapping, so that every read and write of the database comes by here.
static const sqlite3_io_methods methods = {
    2, f_close, f_read, f_write, f_truncate, f_sync, f_size, f_lock, f_unlock, f_reserved, f_control, f_sector,
    f_device, f_map, f_shmlock, f_barrier, f_unmap, 0, 0,
};

static int v_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out) {
    (void)v;
    File *file = (File *)f;
    memset(file, 0, sizeof *file);
    file->inner = (sqlite3_file *)(file + 1);
    int r = real->xOpen(real, name, file->inner, flags, out);
    file->base.pMethods = file->inner->pMethods ? &methods : 0;
    return r;
}

int fault_vfs_register(void) {
    if (real) return SQLITE_OK;
    real = sqlite3_vfs_find(0);
    if (!real) return SQLITE_ERROR;
    vfs = *real;
    vfs.zName = "fault";
    vfs.pNext = 0;
    vfs.szOsFile = (int)sizeof(File) + real->szOsFile;
    vfs.xOpen = v_open;
    return sqlite3_vfs_register(&vfs, 0);
}

static void set(Fault *f, int64_t nth, int forever, int code) {
    atomic_store(&f->nth, 0);
    atomic_store(&f->count, 0);
    atomic_store(&f->forever, forever);
    atomic_store(&f->code, code);
    atomic_store(&f->nth, nth);
}

void fault_vfs_writes(int64_t nth, int forever, int code) { set(&writes, nth, forever, code); }
void fault_vfs_syncs(int64_t nth, int forever, int code) { set(&syncs, nth, forever, code); }
void fault_vfs_reset(void) {
    set(&writes, 0, 0, 0);
    set(&syncs, 0, 0, 0);
}
int64_t fault_vfs_write_count(void) { return atomic_load(&writes.count); }
int64_t fault_vfs_sync_count(void) { return atomic_load(&syncs.count); }
