/* exp, expm1, sine and cosine in double, and the distributions made of them; functions.py is the oracle. */

/* Adding this rounds a double to an integer, which the low bits of the sum hold. */
#define PG_TO_INTEGER 0x1.8p52

/* t = k·ln 2 + r; exp t = 2^k·(1 + rest), rest = exp(r) - 1. `shifted` is k + PG_TO_INTEGER. */
PG double pg_exp_shifted(double t) { return t * 1.4426950408889634 + PG_TO_INTEGER; }
PG double pg_exp_reduced(double t, double shifted)
{
    double k = shifted - PG_TO_INTEGER;
    return (t - k * 0.6931471805592082) - k * 7.371002565167799e-13;
}
PG double pg_scale(double value, double shifted)
{
    return pg_float64(pg_bits64(value) + (pg_bits64(shifted) << 52));
}
PG double pg_exp64(double t)
{
    double shifted = pg_exp_shifted(t), r = pg_exp_reduced(t, shifted);
    return pg_scale(1.0 + (r + r * r * pg_exp(r)), shifted);
}
PG double pg_expm1_64(double t)
{
    double shifted = pg_exp_shifted(t), r = pg_exp_reduced(t, shifted), scale = pg_scale(1.0, shifted);
    return scale * (r + r * r * pg_exp(r)) + (scale - 1.0);
}

/* Return 1 - exp(-x) of a positive x; beyond 60 it rounds to 1. */
PG double pg_complement64(double x) { return -pg_expm1_64(-(x < 60.0 ? x : 60.0)); }

/* Return sin(angle + quarters·π/2). */
PG double pg_sine64(double angle, uint64_t quarters)
{
    double shifted = angle * 0.6366197723675814 + PG_TO_INTEGER, k = shifted - PG_TO_INTEGER;
    double r = ((angle - k * 1.5707963267341256) - k * 6.077100506303966e-11) - k * 2.0222662487959506e-21;
    double z = r * r;
    uint64_t quadrant = pg_bits64(shifted) + quarters;
    double sine = r + r * (z * pg_sin(z)), cosine = (1.0 - 0.5 * z) + z * (z * pg_cos(z));
    uint64_t is_sine = (quadrant & 1) - 1;
    uint64_t magnitude = (pg_bits64(sine) & is_sine) | (pg_bits64(cosine) & ~is_sine);
    return pg_float64(magnitude ^ ((quadrant & 2) << 62));
}

/* ---- Uniform on (lower, upper), from the nearer end ---- */

PG double pg_from_end(const double *n, double step, int is_upper)
{
    return is_upper ? n[PG_UPPER] - step : n[PG_LOWER] + step;
}
PG double pg_interval32(const double *n, uint32_t word)
{
    return pg_from_end(n, ((double)(int32_t)pg_nearer32(word) + 0.5) * 0x1p-32 * n[PG_WIDTH], word >> 31 != 0);
}
PG double pg_interval64(const double *n, uint64_t word)
{
    return pg_from_end(n, (pg_from_uint64(pg_nearer64(word)) + 0.5) * 0x1p-64 * n[PG_WIDTH], word >> 63 != 0);
}

/* Hold a value within least … most. */
PG double pg_held(const double *n, double value)
{
    value = value < n[PG_LEAST] ? n[PG_LEAST] : value;
    return value > n[PG_MOST] ? n[PG_MOST] : value;
}

/* Compute a value of these distributions from a number of the interval. */
PG double pg_of_interval(int distribution, const double *n, double t)
{
    if (distribution == PG_UNIFORM_INTERVAL)
        return t;
    double value = pg_held(n, pg_exp64(t));
    return distribution == PG_LOG_UNIFORM ? value : value + pg_log64(pg_complement64(value));
}

/* ---- Sinusoids: element number of an array [positions, channels] ---- */

/* Plans have no rows beyond, but every number of an element shall have a value. */
#define PG_LAST_ROW 0xFFFFFu

/* `channel` is below 2^31. */
PG double pg_frequency(const double *n, int32_t channel, uint64_t *quarters)
{
    int32_t half = (int32_t)n[PG_CHANNELS] / 2, j = channel >> 1, odd = channel & 1;
    if (n[PG_INTERLEAVED] == 0.0) {
        odd = channel >= half;
        j = channel - (odd ? half : 0);
    }
    *quarters = (uint64_t)odd;
    return pg_exp64(-((double)j * n[PG_RATE]));
}

PG double pg_sinusoidal(const double *n, uint64_t element)
{
    uint64_t channels = (uint64_t)n[PG_CHANNELS], quarters;
    double position = (double)(int32_t)(element / channels & PG_LAST_ROW) + n[PG_FIRST_POSITION];
    double frequency = pg_frequency(n, (int32_t)(element % channels), &quarters);
    return pg_sine64(position * frequency, quarters);
}
