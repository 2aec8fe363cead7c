#define _GNU_SOURCE
#include "CEpoll.h"

#include <stdatomic.h>

_Thread_local struct mt_slot *mt_own_slot = NULL;

static struct mt_slot *table;
static int table_count;
static _Atomic(int) taken[MT_SLOTS_MAX];
static pthread_key_t at_exit_key;
static pthread_once_t at_exit_once = PTHREAD_ONCE_INIT;

enum { signal_stack = 64 << 10, caught_count = 6 };
static const int caught[caught_count] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
static struct sigaction before[caught_count];

static void release_slot(void *slot) {
    mt_own_slot = NULL;
    if (table && (struct mt_slot *)slot >= table && (struct mt_slot *)slot < table + table_count) {
        ((struct mt_slot *)slot)->kind = 0;
        atomic_store(&taken[(struct mt_slot *)slot - table], 0);
    }
    stack_t stack;
    if (sigaltstack(NULL, &stack) < 0 || (stack.ss_flags & SS_DISABLE)) return;
    stack_t none = {.ss_flags = SS_DISABLE};
    if (sigaltstack(&none, NULL) == 0) munmap(stack.ss_sp, stack.ss_size);
}

static void make_key(void) { pthread_key_create(&at_exit_key, release_slot); }

int32_t mt_slots_map(int fd, int count) {
    if (table) return -EBUSY;
    if (count < 1 || count > MT_SLOTS_MAX) return -EINVAL;
    size_t size = (size_t)count * sizeof(struct mt_slot);
    // From nothing again: what is there was read before.
    if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0) return -errno;
    // A full disk is found out here and not by a signal later.
    int e = posix_fallocate(fd, 0, (off_t)size);
    if (e) return -e;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED) return -errno;
    for (int i = 0; i < count; i++) atomic_store(&taken[i], 0);
    table_count = count;
    table = p;
    return 0;
}

void mt_slots_unmap(void) {
    if (table) munmap(table, (size_t)table_count * sizeof(struct mt_slot));
    table = NULL;
    mt_own_slot = NULL;
}

int32_t mt_slot_claim(void) {
    if (mt_own_slot) return 1;
    if (!table) return 0;
    pthread_once(&at_exit_once, make_key);
    for (int i = 0; i < table_count; i++) {
        int vacant = 0;
        if (!atomic_compare_exchange_strong(&taken[i], &vacant, 1)) continue;
        struct mt_slot *slot = table + i;
        pthread_getname_np(pthread_self(), slot->thread, sizeof slot->thread);
        pthread_setspecific(at_exit_key, slot);
        stack_t stack;
        // A thread whose own stack overflowed needs another to say so.
        if (sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_DISABLE)) {
            void *p = mmap(NULL, signal_stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            stack_t own = {.ss_sp = p, .ss_size = signal_stack};
            if (p != MAP_FAILED) sigaltstack(&own, NULL);
        }
        mt_own_slot = slot;
        return 1;
    }
    return 0;
}

void mt_note_death(int signal) {
    struct mt_slot *slot = mt_own_slot;
    // Between two messages nobody is to blame.
    if (!slot || !slot->kind) return;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    slot->when = (int64_t)t.tv_sec;
    slot->signal = (uint32_t)signal;
}

// Only what signal-safety(7) allows.
static void on_death(int number, siginfo_t *info, void *context) {
    (void)context;
    // Somebody else's kill(2) is nobody's fault here.
    int is_own = info->si_code > 0 || info->si_pid == getpid();
    if (is_own) mt_note_death(number);
    for (int i = 0; i < caught_count; i++)
        if (caught[i] == number) sigaction(number, &before[i], NULL);
    // Blocked until the return, then it ends the process, or does what it did before.
    raise(number);
}

int32_t mt_catch_deaths(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_death;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < caught_count; i++) {
        struct sigaction old;
        if (sigaction(caught[i], &action, &old) < 0) return -errno;
        if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != on_death) before[i] = old;
    }
    return 0;
}
