/* The kernels of an instruction set: declarations that C and, through cffi, Python read. */
typedef struct {
    const char *name;
    int (*available)(void);
    /* Draw elements start … start + count - 1 of a stream, of a distribution with these numbers. */
    void (*fill)(int distribution, const double *numbers, int dtype, uint64_t seed, uint64_t stream, uint64_t start,
                 uint64_t count, void *out);
    /* Draw a region of four axes: for i below the sizes, element offset + Σ i·strides goes to out[Σ i·out_strides]. */
    void (*fill_region)(int distribution, const double *numbers, int dtype, uint64_t seed, uint64_t stream,
                        uint64_t offset, const int64_t *sizes, const int64_t *strides, const int64_t *out_strides,
                        void *out);
    void (*add_product)(double *c, long c_step, const double *left, long left_step, long left_depth_step,
                        const double *right, long right_step, int rows, int columns, long depth, double sign, int upper,
                        double *scratch);
    int (*cholesky_tile)(double *g, long step, const double *diagonal, int n, double min_ratio, double *scratch);
    void (*solve_triangular)(const double *r, long r_step, double *x, long k_step, long j_step, int n, int count,
                             double *scratch);
    void (*apply_reflector)(double *a, long step, const double *v, double scale, long m, long n, double *dot);
} pg_kernels_t;
