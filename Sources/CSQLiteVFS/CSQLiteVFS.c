#include "CSQLiteVFS.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

// The unix VFS takes less than 128 KiB in one call.
enum { BUFFER_MAX = 96 << 10, BASES_MAX = 8, NAME_MAX_BYTES = 64 };

typedef struct {
    sqlite3_file file;
    sqlite3_file *real;
    unsigned char *buffer;
    sqlite3_int64 start;  // where in the file the buffer belongs
    int used;
    int direct;  // nothing is held back
} log_file;

static int flush(log_file *f) {
    if (f->used == 0) return SQLITE_OK;
    int used = f->used;
    // Whatever becomes of the write, it is not tried again: SQLite rolls back and overwrites the place.
    f->used = 0;
    return f->real->pMethods->xWrite(f->real, f->buffer, used, f->start);
}

static int log_close(sqlite3_file *file) {
    log_file *f = (log_file *)file;
    int flushed = flush(f);
    int closed = f->real->pMethods->xClose(f->real);
    sqlite3_free(f->buffer);
    f->buffer = NULL;
    return flushed != SQLITE_OK ? flushed : closed;
}

static int log_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at) {
    log_file *f = (log_file *)file;
    int status = flush(f);
    return status != SQLITE_OK ? status : f->real->pMethods->xRead(f->real, to, n, at);
}

static int log_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at) {
    log_file *f = (log_file *)file;
    if (f->direct) return f->real->pMethods->xWrite(f->real, from, n, at);
    if (f->used > 0 && (at != f->start + f->used || n > BUFFER_MAX - f->used)) {
        int status = flush(f);
        if (status != SQLITE_OK) return status;
    }
    if (n > BUFFER_MAX) return f->real->pMethods->xWrite(f->real, from, n, at);
    if (!f->buffer) {
        f->buffer = sqlite3_malloc(BUFFER_MAX);
        if (!f->buffer) return SQLITE_NOMEM;
    }
    if (f->used == 0) f->start = at;
    memcpy(f->buffer + f->used, from, (size_t)n);
    f->used += n;
    return SQLITE_OK;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size) {
    log_file *f = (log_file *)file;
    int status = flush(f);
    return status != SQLITE_OK ? status : f->real->pMethods->xTruncate(f->real, size);
}

static int log_sync(sqlite3_file *file, int flags) {
    log_file *f = (log_file *)file;
    int status = flush(f);
    return status != SQLITE_OK ? status : f->real->pMethods->xSync(f->real, flags);
}

static int log_file_size(sqlite3_file *file, sqlite3_int64 *size) {
    log_file *f = (log_file *)file;
    int status = flush(f);
    return status != SQLITE_OK ? status : f->real->pMethods->xFileSize(f->real, size);
}

static int log_lock(sqlite3_file *file, int level) {
    log_file *f = (log_file *)file;
    return f->real->pMethods->xLock(f->real, level);
}

static int log_unlock(sqlite3_file *file, int level) {
    log_file *f = (log_file *)file;
    return f->real->pMethods->xUnlock(f->real, level);
}

static int log_check_lock(sqlite3_file *file, int *held) {
    log_file *f = (log_file *)file;
    return f->real->pMethods->xCheckReservedLock(f->real, held);
}

static int log_control(sqlite3_file *file, int op, void *argument) {
    log_file *f = (log_file *)file;
    return f->real->pMethods->xFileControl(f->real, op, argument);
}

static int log_sector_size(sqlite3_file *file) {
    log_file *f = (log_file *)file;
    return f->real->pMethods->xSectorSize(f->real);
}

static int log_characteristics(sqlite3_file *file) {
    log_file *f = (log_file *)file;
    return f->real->pMethods->xDeviceCharacteristics(f->real);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_file_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_lock,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

static int log_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    sqlite3_vfs *base = vfs->pAppData;
    // The database itself and everything else is the base's alone: the room asked for is enough for either.
    if (!(flags & SQLITE_OPEN_WAL)) return base->xOpen(base, name, file, flags, out_flags);
    log_file *f = (log_file *)file;
    memset(f, 0, sizeof *f);
    f->real = (sqlite3_file *)(f + 1);
    int status = base->xOpen(base, name, f->real, flags, out_flags);
    if (status == SQLITE_OK) {
        // Without it SQLite syncs in the middle of a frame and shows readers the rest before it is synced.
        f->direct = !(f->real->pMethods->xDeviceCharacteristics(f->real) & SQLITE_IOCAP_POWERSAFE_OVERWRITE);
        f->file.pMethods = &log_methods;
    } else if (f->real->pMethods) {
        // A failed open may still have to be closed; the caller only knows of the outer file.
        f->real->pMethods->xClose(f->real);
    }
    return status;
}

typedef struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *base;
    char name[NAME_MAX_BYTES];
} registration;

const char *mt_log_vfs(const char *base_name) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static registration registrations[BASES_MAX];
    static int count = 0;
    if (sqlite3_initialize() != SQLITE_OK) return NULL;
    sqlite3_vfs *base = sqlite3_vfs_find(base_name);
    if (!base) return NULL;
    const char *name = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count && !name; i++) {
        if (registrations[i].base == base) name = registrations[i].name;
    }
    if (!name && count < BASES_MAX) {
        registration *r = &registrations[count];
        r->base = base;
        snprintf(r->name, sizeof r->name, count == 0 ? "martlet-log" : "martlet-log-%d", count);
        // Every other method is the base's own, called with our structure: right for bases whose other methods do not look
        // at pAppData, as those of the unix VFS do not.
        r->vfs = *base;
        r->vfs.pNext = NULL;
        r->vfs.zName = r->name;
        r->vfs.pAppData = base;
        r->vfs.szOsFile = (int)sizeof(log_file) + base->szOsFile;
        r->vfs.xOpen = log_open;
        if (sqlite3_vfs_register(&r->vfs, 0) == SQLITE_OK) {
            name = r->name;
            count++;
        }
    }
    pthread_mutex_unlock(&lock);
    return name;
}
