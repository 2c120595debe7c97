/* A grid of blocks of threads on the host. Threads of a block are fibres, which switch at each barrier. */

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

typedef struct { unsigned x; } pg_index;
static __thread pg_index blockIdx, threadIdx, blockDim, gridDim;

#define PG_KERNEL static void
#define PG_SHARED static __thread
#define PG_BARRIER                                                                                                    \
    if (!_setjmp(pg_fibre[threadIdx.x]))                                                                              \
    _longjmp(pg_scheduler, 1)

enum { PG_MOST_THREADS = 256, PG_STACK = 1 << 15 };
typedef void pg_call(void **arguments);
static __thread jmp_buf pg_fibre[PG_MOST_THREADS], pg_scheduler;
static __thread char pg_stacks[PG_MOST_THREADS][PG_STACK];
static __thread pg_call *pg_called;
static __thread void **pg_given;
static __thread unsigned pg_turn, pg_ended;

static void pg_start(void)
{
    pg_called(pg_given);
    pg_ended++;
    _longjmp(pg_scheduler, 1);
}

static void pg_begin(void)
{
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = pg_stacks[threadIdx.x];
    context.uc_stack.ss_size = PG_STACK;
    context.uc_link = NULL;
    makecontext(&context, pg_start, 0);
    setcontext(&context);
}

/* Run a block, its threads in order or reversed; return 1 if some were at a barrier after others had ended. */
static int pg_block_of_threads(unsigned threads, int reversed)
{
    pg_ended = 0;
    for (int begun = 0; !pg_ended; begun = 1) {
        for (pg_turn = 0; pg_turn < threads; pg_turn++) {
            threadIdx.x = reversed ? threads - 1 - pg_turn : pg_turn;
            if (!_setjmp(pg_scheduler)) {
                if (begun)
                    _longjmp(pg_fibre[threadIdx.x], 1);
                pg_begin();
            }
        }
    }
    return pg_ended % threads != 0;
}

static int pg_grid(pg_call *call, void **arguments, int has_barriers, unsigned blocks, unsigned threads, int reversed)
{
    gridDim.x = blocks;
    blockDim.x = threads;
    pg_called = call;
    pg_given = arguments;
    for (unsigned b = 0; b < blocks; b++) {
        blockIdx.x = reversed ? blocks - 1 - b : b;
        if (has_barriers) {
            if (pg_block_of_threads(threads, reversed))
                return 1;
            continue;
        }
        for (unsigned t = 0; t < threads; t++) {
            threadIdx.x = reversed ? threads - 1 - t : t;
            call(arguments);
        }
    }
    return 0;
}
