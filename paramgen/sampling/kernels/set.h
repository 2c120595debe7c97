/* The kernels of an instruction set, as C and, through cffi, Python see them: declarations only, read by both. */
typedef struct {
    const char *name;
    int (*available)(void);
    /* Elements start … start + count - 1 of a stream, of a law with numbers n. */
    void (*fill)(int law, const double *n, int dtype, uint64_t seed, uint64_t stream, uint64_t start, uint64_t count,
                 void *out);
    /* Elements first + Σ i·strides of a stream, i below the sizes, to the places Σ i·places of `out`, of four axes. */
    void (*fill_box)(int law, const double *n, int dtype, uint64_t seed, uint64_t stream, uint64_t first,
                     const int64_t *sizes, const int64_t *strides, const int64_t *places, void *out);
    void (*accumulate)(double *c, long c_step, const double *left, long left_step, long left_depth_step,
                       const double *right, long right_step, int rows, int columns, long depth, double sign,
                       int upper, double *room);
    int (*factor)(double *g, long step, const double *diagonal, int n, double dependent, double *room);
    void (*solve)(const double *r, long r_step, double *x, long k_step, long j_step, int n, int count,
                  double *room);
    void (*reflect)(double *a, long step, const double *v, double factor, long m, long n, double *dot);
} pg_set;
