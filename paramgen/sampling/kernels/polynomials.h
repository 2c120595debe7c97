/* Made by tools/generate.py from normal.py and elementary.py, not by hand: Horner's rule, a multiply then an add. */

#define PG_INVERSE_LN_2 1.4426950408889634
#define PG_LN_2_HIGH 0.6931471805592082
#define PG_LN_2_LOW 7.371002565167799e-13
#define PG_INVERSE_HALF_PI 0.6366197723675814
#define PG_HALF_PI_HIGH 1.5707963267341256
#define PG_HALF_PI_MIDDLE 6.077100506303966e-11
#define PG_HALF_PI_LOW 2.0222662487959506e-21
#define PG_TO_INTEGER 6755399441055744.0
#define PG_MAX_SOFTPLUS 60.0

PG float pg_log_float32_begin(float v)
{
    float p = 2.99256504e-01f;
    p = p * v + 3.99747938e-01f;
    return p;
}

PG float pg_log_float32_end(float v, float p)
{
    p = p * v + 6.66668177e-01f;
    p = p * v + 2.00000000e+00f;
    return p;
}

PG float pg_log_float32(float v) { return pg_log_float32_end(v, pg_log_float32_begin(v)); }

PG double pg_log_float64_begin(double v)
{
    double p = 1.4810529728750974e-01;
    p = p * v + 1.5312443714297319e-01;
    p = p * v + 1.8183635098484158e-01;
    p = p * v + 2.2222196988100870e-01;
    return p;
}

PG double pg_log_float64_end(double v, double p)
{
    p = p * v + 2.8571428761349005e-01;
    p = p * v + 3.9999999999298863e-01;
    p = p * v + 6.6666666666667651e-01;
    p = p * v + 2.0000000000000000e+00;
    return p;
}

PG double pg_log_float64(double v) { return pg_log_float64_end(v, pg_log_float64_begin(v)); }

PG float pg_centre_begin(float v)
{
    float p = -8.24039859e-09f;
    p = p * v + -6.13078788e-09f;
    p = p * v + 6.44292129e-07f;
    p = p * v + -2.66625852e-06f;
    p = p * v + -1.80414463e-05f;
    return p;
}

PG float pg_centre_end(float v, float p)
{
    p = p * v + 2.76445237e-04f;
    p = p * v + -1.18238362e-03f;
    p = p * v + -8.11557844e-03f;
    p = p * v + 3.41716886e-01f;
    p = p * v + 2.29603529e+00f;
    return p;
}

PG float pg_centre(float v) { return pg_centre_end(v, pg_centre_begin(v)); }

PG float pg_tail_begin(float v)
{
    float p = 3.86863503e-05f;
    p = p * v + -2.82671594e-04f;
    p = p * v + 6.92633505e-04f;
    p = p * v + -1.00675737e-03f;
    return p;
}

PG float pg_tail_end(float v, float p)
{
    p = p * v + 1.50611938e-03f;
    p = p * v + -2.90149427e-03f;
    p = p * v + 4.64135921e-03f;
    p = p * v + 1.42463326e+00f;
    p = p * v + 4.71708870e+00f;
    return p;
}

PG float pg_tail(float v) { return pg_tail_end(v, pg_tail_begin(v)); }

PG double pg_a_begin(double v)
{
    double p = 2.5090809287301227e+03;
    p = p * v + 3.3430575583588128e+04;
    p = p * v + 6.7265770927008707e+04;
    p = p * v + 4.5921953931549870e+04;
    return p;
}

PG double pg_a_end(double v, double p)
{
    p = p * v + 1.3731693765509461e+04;
    p = p * v + 1.9715909503065513e+03;
    p = p * v + 1.3314166789178438e+02;
    p = p * v + 3.3871328727963665e+00;
    return p;
}

PG double pg_a(double v) { return pg_a_end(v, pg_a_begin(v)); }

PG double pg_b_begin(double v)
{
    double p = 5.2264952788528544e+03;
    p = p * v + 2.8729085735721943e+04;
    p = p * v + 3.9307895800092709e+04;
    p = p * v + 2.1213794301586597e+04;
    return p;
}

PG double pg_b_end(double v, double p)
{
    p = p * v + 5.3941960214247511e+03;
    p = p * v + 6.8718700749205789e+02;
    p = p * v + 4.2313330701600911e+01;
    p = p * v + 1.0000000000000000e+00;
    return p;
}

PG double pg_b(double v) { return pg_b_end(v, pg_b_begin(v)); }

PG double pg_c_begin(double v)
{
    double p = 7.7454501427834139e-04;
    p = p * v + 2.2723844989269184e-02;
    p = p * v + 2.4178072517745061e-01;
    p = p * v + 1.2704582524523684e+00;
    return p;
}

PG double pg_c_end(double v, double p)
{
    p = p * v + 3.6478483247632045e+00;
    p = p * v + 5.7694972214606910e+00;
    p = p * v + 4.6303378461565456e+00;
    p = p * v + 1.4234371107496835e+00;
    return p;
}

PG double pg_c(double v) { return pg_c_end(v, pg_c_begin(v)); }

PG double pg_d_begin(double v)
{
    double p = 1.0507500716444169e-09;
    p = p * v + 5.4759380849953455e-04;
    p = p * v + 1.5198666563616457e-02;
    p = p * v + 1.4810397642748008e-01;
    return p;
}

PG double pg_d_end(double v, double p)
{
    p = p * v + 6.8976733498510001e-01;
    p = p * v + 1.6763848301838038e+00;
    p = p * v + 2.0531916266377590e+00;
    p = p * v + 1.0000000000000000e+00;
    return p;
}

PG double pg_d(double v) { return pg_d_end(v, pg_d_begin(v)); }

PG double pg_e_begin(double v)
{
    double p = 2.0103343992922881e-07;
    p = p * v + 2.7115555687434876e-05;
    p = p * v + 1.2426609473880784e-03;
    p = p * v + 2.6532189526576124e-02;
    return p;
}

PG double pg_e_end(double v, double p)
{
    p = p * v + 2.9656057182850487e-01;
    p = p * v + 1.7848265399172913e+00;
    p = p * v + 5.4637849111641144e+00;
    p = p * v + 6.6579046435011033e+00;
    return p;
}

PG double pg_e(double v) { return pg_e_end(v, pg_e_begin(v)); }

PG double pg_f_begin(double v)
{
    double p = 2.0442631033899397e-15;
    p = p * v + 1.4215117583164459e-07;
    p = p * v + 1.8463183175100548e-05;
    p = p * v + 7.8686913114561329e-04;
    return p;
}

PG double pg_f_end(double v, double p)
{
    p = p * v + 1.4875361290850615e-02;
    p = p * v + 1.3692988092273581e-01;
    p = p * v + 5.9983220655588798e-01;
    p = p * v + 1.0000000000000000e+00;
    return p;
}

PG double pg_f(double v) { return pg_f_end(v, pg_f_begin(v)); }

PG double pg_exp_begin(double v)
{
    double p = 2.5068173246141374e-08;
    p = p * v + 2.7620046367900589e-07;
    p = p * v + 2.7557355496213692e-06;
    p = p * v + 2.4801521396186746e-05;
    p = p * v + 1.9841269784673325e-04;
    return p;
}

PG double pg_exp_end(double v, double p)
{
    p = p * v + 1.3888888917139239e-03;
    p = p * v + 8.3333333333562003e-03;
    p = p * v + 4.1666666666624302e-02;
    p = p * v + 1.6666666666666644e-01;
    p = p * v + 5.0000000000000011e-01;
    return p;
}

PG double pg_exp(double v) { return pg_exp_end(v, pg_exp_begin(v)); }

PG double pg_sin_begin(double v)
{
    double p = 1.5917933925590456e-10;
    p = p * v + -2.5051128870156406e-08;
    p = p * v + 2.7557316086693627e-06;
    return p;
}

PG double pg_sin_end(double v, double p)
{
    p = p * v + -1.9841269836724044e-04;
    p = p * v + 8.3333333333309220e-03;
    p = p * v + -1.6666666666666666e-01;
    return p;
}

PG double pg_sin(double v) { return pg_sin_end(v, pg_sin_begin(v)); }

PG double pg_cos_begin(double v)
{
    double p = -1.1382547055813209e-11;
    p = p * v + 2.0876144976911550e-09;
    p = p * v + -2.7557317264891267e-07;
    return p;
}

PG double pg_cos_end(double v, double p)
{
    p = p * v + 2.4801587298750903e-05;
    p = p * v + -1.3888888888887387e-03;
    p = p * v + 4.1666666666666664e-02;
    return p;
}

PG double pg_cos(double v) { return pg_cos_end(v, pg_cos_begin(v)); }
