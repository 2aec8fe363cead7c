// What each thread is working on, in a file that outlives the process, and who of them made it die. Every function
// returns its value, or -errno.
#ifndef MARTLET_INPROGRESS_H
#define MARTLET_INPROGRESS_H

#include <stdint.h>
#include <string.h>
#include <sys/types.h>

enum { MT_FINGERPRINT = 32, MT_SLOT_LABEL = 48, MT_SLOTS_MAX = 512 };

/// One thread's place in the table: 128 octets. Written by its thread alone.
struct mt_slot {
    /// The signal its thread died of; 0: none.
    uint32_t signal;
    /// What the fingerprint is of; 0: the thread does nothing that could be to blame.
    uint32_t kind;
    /// When the process died, seconds since 1970.
    int64_t when;
    uint8_t fingerprint[MT_FINGERPRINT];
    /// For people: the id of the message or its sender; ends with NUL.
    char label[MT_SLOT_LABEL];
    char thread[16];
    uint8_t spare[16];
};

/// This thread's slot; NULL: it has none (yet).
extern _Thread_local struct mt_slot *mt_own_slot;

/// Maps `count` slots of the open file `fd`, all cleared. Once in a process.
int32_t mt_slots_map(int fd, int count);
/// For tests: another table may be mapped.
void mt_slots_unmap(void);
/// Gives the thread a slot and a stack for signals. 0: no table, or it is full.
int32_t mt_slot_claim(void);
/// On SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE and SIGABRT the thread that caused it notes it in its slot; then the signal
/// does what it did before.
int32_t mt_catch_deaths(void);
/// Notes that the calling thread dies of `signal`, as the handler does.
void mt_note_death(int signal);

static inline int32_t mt_slot_begin(uint32_t kind, const uint8_t *fingerprint, const uint8_t *label, size_t n) {
    struct mt_slot *slot = mt_own_slot;
    if (!slot) {
        if (!mt_slot_claim()) return 0;
        slot = mt_own_slot;
    }
    // A handler runs on this thread: only the order of the instructions matters.
    slot->kind = 0;
    __asm__ volatile("" ::: "memory");
    memcpy(slot->fingerprint, fingerprint, MT_FINGERPRINT);
    if (n >= MT_SLOT_LABEL) n = MT_SLOT_LABEL - 1;
    memcpy(slot->label, label, n);
    slot->label[n] = 0;
    __asm__ volatile("" ::: "memory");
    slot->kind = kind;
    return 1;
}

static inline void mt_slot_end(void) {
    struct mt_slot *slot = mt_own_slot;
    if (slot) slot->kind = 0;
}

#endif
