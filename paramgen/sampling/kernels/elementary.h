/* exp, expm1, sine and cosine in double, and the distributions made of them; sampling/reference/ is the oracle. */

/* t = k·ln 2 + r; exp t = 2^k·(1 + rest), rest = exp(r) - 1. `shifted` is k + PG_TO_INTEGER. */
PG double pg_exp_shifted(double t) { return t * PG_INVERSE_LN_2 + PG_TO_INTEGER; }
PG double pg_exp_reduced(double t, double shifted)
{
    double k = shifted - PG_TO_INTEGER;
    return (t - k * PG_LN_2_HIGH) - k * PG_LN_2_LOW;
}
PG double pg_scale_by_power(double value, double shifted)
{
    return pg_float64(pg_bits64(value) + (pg_bits64(shifted) << 52));
}
PG double pg_exp_rest(double r, double polynomial) { return r + r * r * polynomial; }
PG double pg_expm1_of(double rest, double shifted)
{
    double scale = pg_scale_by_power(1.0, shifted);
    return scale * rest + (scale - 1.0);
}
PG double pg_exp64(double t)
{
    double shifted = pg_exp_shifted(t), r = pg_exp_reduced(t, shifted);
    return pg_scale_by_power(1.0 + pg_exp_rest(r, pg_exp(r)), shifted);
}
PG double pg_expm1_64(double t)
{
    double shifted = pg_exp_shifted(t), r = pg_exp_reduced(t, shifted);
    return pg_expm1_of(pg_exp_rest(r, pg_exp(r)), shifted);
}

/* 1 - exp(-x) of a positive x is -expm1 of this; of larger x than PG_MAX_SOFTPLUS it rounds to 1. */
PG double pg_softplus_argument(double x) { return -(x < PG_MAX_SOFTPLUS ? x : PG_MAX_SOFTPLUS); }
PG double pg_inverse_softplus64(double x) { return x + pg_log64(-pg_expm1_64(pg_softplus_argument(x))); }

/* angle = k·π/2 + r. `shifted` is k + PG_TO_INTEGER. */
PG double pg_sine_shifted(double angle) { return angle * PG_INVERSE_HALF_PI + PG_TO_INTEGER; }
PG double pg_sine_reduced(double angle, double shifted)
{
    double k = shifted - PG_TO_INTEGER;
    return ((angle - k * PG_HALF_PI_HIGH) - k * PG_HALF_PI_MIDDLE) - k * PG_HALF_PI_LOW;
}
PG double pg_sine_of(double r, double polynomial) { return r + r * (r * r * polynomial); }
PG double pg_cosine_of(double z, double polynomial) { return (1.0 - 0.5 * z) + z * (z * polynomial); }

/* Return sin(k·π/2 + r + quarters·π/2), given the sine and the cosine of r. */
PG double pg_quadrant(double sine, double cosine, double shifted, uint64_t quarters)
{
    uint64_t quadrant = pg_bits64(shifted) + quarters, is_sine = (quadrant & 1) - 1;
    uint64_t magnitude = (pg_bits64(sine) & is_sine) | (pg_bits64(cosine) & ~is_sine);
    return pg_float64(magnitude ^ ((quadrant & 2) << 62));
}
PG double pg_sine64(double angle, uint64_t quarters)
{
    double shifted = pg_sine_shifted(angle), r = pg_sine_reduced(angle, shifted), z = r * r;
    return pg_quadrant(pg_sine_of(r, pg_sin(z)), pg_cosine_of(z, pg_cos(z)), shifted, quarters);
}

/* ---- Uniform on (start, end), from the nearer one ---- */

/* Return start + step, or end - step if `above` is all ones instead of 0. */
PG double pg_from_end(const double *numbers, double step, uint64_t above)
{
    uint64_t start = pg_bits64(numbers[PG_START]), end = pg_bits64(numbers[PG_END]);
    return pg_float64(start ^ ((start ^ end) & above)) + pg_float64(pg_bits64(step) ^ (above & 0x8000000000000000u));
}
PG double pg_interval32(const double *numbers, uint32_t word)
{
    return pg_from_end(numbers, ((double)(int32_t)pg_nearer32(word) + 0.5) * 0x1p-32 * numbers[PG_WIDTH],
                       (uint64_t)(int64_t)((int32_t)word >> 31));
}
PG double pg_interval64(const double *numbers, uint64_t word)
{
    return pg_from_end(numbers, (pg_from_uint64(pg_nearer64(word)) + 0.5) * 0x1p-64 * numbers[PG_WIDTH], 0 - (word >> 63));
}

/* Clamp a value to min … max. */
PG double pg_clamp(const double *numbers, double value)
{
    double min = numbers[PG_MIN], max = numbers[PG_MAX];
    value = value < min ? min : value;
    return value > max ? max : value;
}

/* Compute a value of these distributions from a number of the interval. */
PG double pg_value_of_interval(int distribution, const double *numbers, double t)
{
    if (distribution == PG_UNIFORM_INTERVAL)
        return t;
    double value = pg_clamp(numbers, pg_exp64(t));
    return distribution == PG_LOG_UNIFORM ? value : pg_inverse_softplus64(value);
}

/* ---- Sinusoids: element number of an array [positions, channels] ---- */

/* Plans have fewer rows. The mask only keeps larger element numbers defined. */
#define PG_ROW_MASK 0xFFFFFu

/* Return the logarithm of a channel's frequency, and 1 in `quarters` if it is a cosine; `channel` is below 2^31. */
PG double pg_log_frequency(const double *numbers, int32_t channel, uint64_t *quarters)
{
    int32_t half = (int32_t)numbers[PG_CHANNELS] / 2, j = channel >> 1, odd = channel & 1;
    if (numbers[PG_INTERLEAVED] == 0.0) {
        odd = channel >= half;
        j = channel - (odd ? half : 0);
    }
    *quarters = (uint64_t)odd;
    return -((double)j * numbers[PG_RATE]);
}

PG double pg_sinusoidal(const double *numbers, uint64_t element)
{
    uint64_t channels = (uint64_t)numbers[PG_CHANNELS], quarters;
    double position = (double)(int32_t)(element / channels & PG_ROW_MASK) + numbers[PG_FIRST_POSITION];
    double frequency = pg_exp64(pg_log_frequency(numbers, (int32_t)(element % channels), &quarters));
    return pg_sine64(position * frequency, quarters);
}
