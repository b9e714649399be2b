"""The error function and its inverse on f32 and f64 lanes.

Polynomials are minimax fits as in `elementary`, highest power first.
"""

from __future__ import annotations

import math

from codegen.elementary import exp, log
from codegen.vector import FLOATS, Vector, fma, kind, poly

# erf(x) / x - 1 in x^2 on |x| <= 1
_ERF_SMALL = {
    "f32": (7.85387092e-05, -0.000801019312, 0.00518832728, -0.026853811, 0.112835854, -0.37612626, 0.128379166),
    "f64": (
        5.945260855021793e-11, -1.136566543582286e-09, 1.465787971538782e-08, -1.6350025205785687e-07,
        1.6460972815542676e-06, -1.4925593506782688e-05, 0.00012055331036892241, -0.0008548326978741789,
        0.005223977624780851, -0.026866170645072893, 0.11283791670954857, -0.3761263890318375, 0.1283791670955126,
    ),
}  # fmt: skip
# log(erfc(x)) in x - centre, f32 on [1, 4] (centre 1), f64 on [1, 6] (centre 3.5)
_LOG_ERFC = {
    "f32": (
        -1.60147647e-05, 0.000251535908, -0.00191635836, 0.00993463397, -0.0415021144, -0.843121529, -2.63896632,
        -1.84960556,
    ),
    "f64": (
        5.985876131349602e-19, -5.158140987454034e-18, 9.123684906463322e-18, 2.2892520207927538e-17,
        -4.111033118300064e-17, 4.855584149664228e-16, -8.787471988916494e-15, 6.760310098031201e-14,
        -3.94413443692478e-13, 2.0522776571968046e-12, -9.179116306747814e-12, 3.066303065725225e-11,
        -2.48032610710034e-11, -7.749210505804991e-10, 9.53166907253575e-09, -8.069299329348047e-08,
        5.856143374447835e-07, -3.8895571910313566e-06, 2.4386373539390767e-05, -0.00014729777488147724,
        0.0008736873236411723, -0.005225658221944192, -0.9667530547422303, -7.266099588365191, -14.112437402148174,
    ),
}  # fmt: skip
_CENTRE = {"f32": 1.0, "f64": 3.5}
_SATURATION = {"f32": 4.0, "f64": 6.0}
"""From here on erf is 1 to working precision."""


def _erf_small(x: Vector) -> Vector:
    """erf for |x| <= 1."""
    return fma(x, poly(x * x, _ERF_SMALL[x.dtype]), x)


def _erfc_large(x: Vector) -> Vector:
    """1 - erf for x between 1 and the saturation point."""
    return exp(poly(x - _CENTRE[x.dtype], _LOG_ERFC[x.dtype]))


@kind("erf", FLOATS)
def erf(x: Vector) -> Vector:
    magnitude = x.abs()
    large = 1 - _erfc_large(magnitude.at_most(_SATURATION[x.dtype]))
    return (magnitude < 1).choose(_erf_small(x), large.with_sign_of(x))


# erfinv(x) / x with w = -log(1 - x^2): in w - 2.5 on w <= 5, in sqrt(w) - centre above. The f64 fit reaches to the last
# number below 1, with a relative error of 2^-19 that one step of Halley's method cubes.
_ERFINV_CENTRAL = (
    -8.79135431e-09, 2.32322819e-08, 4.66174782e-07, -3.46270076e-06, -4.96336725e-06, 0.00021834443, -0.00125274179,
    -0.00417738687, 0.24664028, 1.50140941,
)  # fmt: skip
_ERFINV_TAIL = {
    "f32": (
        0.00012890478, -0.00017376522, -0.000322721316, 0.00131070171, -0.00252116169, 0.00378163764, -0.00530101266,
        0.00704905065, 1.00371873, 2.95832014,
    ),
    "f64": (
        1.78241971e-05, -4.32681845e-05, -1.64018165e-05, 2.0090647e-05, 0.00026824596, -0.000684641476,
        0.000681931444, 1.00999665, 4.09222651,
    ),
}  # fmt: skip
_ERFINV_CENTRE = {"f32": 3.125, "f64": 4.25}


@kind("erfinv", FLOATS)
def erfinv(x: Vector) -> Vector:
    """Infinite at -1 and 1, NaN beyond. Form of Giles, "Approximating the erfinv function" (2011), fitted anew."""
    w = -log((1 - x) * (x + 1))
    central = poly(w - 2.5, _ERFINV_CENTRAL)
    tail = poly(w.sqrt() - _ERFINV_CENTRE[x.dtype], _ERFINV_TAIL[x.dtype])
    estimate = x * (w < 5).choose(central, tail)
    value = estimate if x.dtype == "f32" else _halley_step(x, estimate)
    return x.abs().equals(1).choose(x * math.inf, value)


def _halley_step(x: Vector, y: Vector) -> Vector:
    """One step towards erf(y) = x; near 1 the difference is taken between the complements, which are exact."""
    magnitude, target = y.abs(), x.abs()
    complement = _erfc_large(magnitude.at_least(1).at_most(_SATURATION[x.dtype]))
    error = (magnitude < 1).choose(_erf_small(magnitude) - target, (1 - target) - complement)
    newton = error * exp(magnitude * magnitude) * (math.sqrt(math.pi) / 2)
    return (magnitude - newton / fma(newton, magnitude, 1)).with_sign_of(x)
