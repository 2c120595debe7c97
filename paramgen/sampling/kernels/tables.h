/* Made by tools/generate.py from the tables of distributions and dtypes, not by hand. */
typedef enum { PG_CONSTANT, PG_UNIFORM, PG_NORMAL, PG_TRUNCATED_NORMAL, PG_INTEGERS, PG_BERNOULLI, PG_UNIFORM_INTERVAL, PG_LOG_UNIFORM, PG_SSM_DT_BIAS, PG_SINUSOIDAL } pg_distribution_t;
enum { PG_VALUE = 0, PG_BOUND = 0, PG_MEAN = 0, PG_STD = 1, PG_LOW = 2, PG_HIGH = 3, PG_BELOW = 4, PG_ABOVE = 5, PG_WITHIN = 6, PG_START_LOW = 0, PG_START_HIGH = 1, PG_SPAN_LOW = 2, PG_SPAN_HIGH = 3, PG_ZEROS = 0, PG_START = 0, PG_END = 1, PG_WIDTH = 2, PG_MIN = 3, PG_MAX = 4, PG_CHANNELS = 0, PG_INTERLEAVED = 1, PG_FIRST_POSITION = 2, PG_RATE = 3, PG_NUMBERS = 7 };
enum { PG_FLOAT64, PG_FLOAT32, PG_FLOAT16, PG_BFLOAT16, PG_FLOAT8_E4M3FN, PG_FLOAT8_E4M3FNUZ, PG_FLOAT8_E5M2, PG_FLOAT8_E5M2FNUZ, PG_FLOAT8_E8M0FNU, PG_COMPLEX64, PG_UINT64, PG_INT64, PG_UINT32, PG_INT32, PG_UINT16, PG_INT16, PG_UINT8, PG_INT8, PG_BOOL };
#define PG_ITEMSIZES 8, 4, 2, 2, 1, 1, 1, 1, 1, 8, 8, 8, 4, 4, 2, 2, 1, 1, 1
/* The dtypes that round float32 values, each with its C type and its rounding function. */
#define PG_NARROW_DTYPES(X) X(PG_FLOAT16, uint16_t, pg_float16) X(PG_BFLOAT16, uint16_t, pg_bfloat16) X(PG_FLOAT8_E4M3FN, uint8_t, pg_float8_e4m3fn) X(PG_FLOAT8_E4M3FNUZ, uint8_t, pg_float8_e4m3fnuz) X(PG_FLOAT8_E5M2, uint8_t, pg_float8_e5m2) X(PG_FLOAT8_E5M2FNUZ, uint8_t, pg_float8_e5m2fnuz) X(PG_FLOAT8_E8M0FNU, uint8_t, pg_float8_e8m0fnu)
#define PG_IS_DISCRETE(x) ((x) == PG_INTEGERS || (x) == PG_BERNOULLI)
#define PG_USES_INTERVAL(x) ((x) == PG_UNIFORM_INTERVAL || (x) == PG_LOG_UNIFORM || (x) == PG_SSM_DT_BIAS)
#define PG_IS_INTEGER(x) ((x) == PG_UINT64 || (x) == PG_INT64 || (x) == PG_UINT32 || (x) == PG_INT32 || (x) == PG_UINT16 || (x) == PG_INT16 || (x) == PG_UINT8 || (x) == PG_INT8 || (x) == PG_BOOL)
#define PG_IS_WIDE(x) ((x) == PG_FLOAT64 || (x) == PG_COMPLEX64 || (x) == PG_UINT64 || (x) == PG_INT64)
