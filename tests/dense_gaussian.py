"""The density of a Gaussian mixed model with dense matrices and SciPy: the oracle of the collapsed engine.

Of the model it takes the design, the priors and their addresses; where a parameter lies, what is centred and what a
correlation matrix's density is, it says itself.
"""

from collections.abc import Sequence

import lkj
import numpy as np
from scipy import stats
from scipy.special import expit

import mixedbayes as mb
from mixedbayes.inference.gaussian.coordinates import Variances
from mixedbayes.models.priors import Prior, Reference
from mixedbayes.models.spec import BlockSpec, ModelSpec, Parameter


def log_posterior(
    variances: Variances,
    theta: np.ndarray,
    weights: np.ndarray | None = None,
    rows: slice | np.ndarray = slice(None),
) -> float:
    """log p(theta | y) + constant, of some rows: a multivariate normal of n dimensions, and priors by scipy.stats.

    A flat coefficient is one of enormous variance, whose normalising constant is taken off.

    Args:
        variances: What the coordinates of theta are called.
        theta: Shape (d,).
        weights: Of the rows.
        rows: Those that are looked at; predictors are about the means of all.
    """
    spec, design = variances.spec, variances.spec.design
    u = dict(zip(variances.names, theta, strict=True))
    values: dict[str, float] = {}
    total = sum(place(p, u[p.address], values) for p in spec.hyper)
    n = design.n
    w = np.ones(n) if weights is None else weights
    covariance = np.zeros((n, n))
    for block in spec.blocks:
        total += sum(place(p, u[p.address], values) for p in block.sds)
        sd = np.array([values[p.address] for p in block.sds])
        R, density = correlation(block, u, values)
        total += density
        Z = dense(block)
        L = len(block.block.levels)
        covariance += Z @ np.kron(np.eye(L), np.diag(sd) @ R @ np.diag(sd)) @ Z.T
    total += sum(place(p, u[p.address], values) for p in spec.auxiliary)
    covariance += values.get("sigma", 1.0) ** 2 * np.diag(1 / w)
    X = at_means(design.fixed.X, variances.coefficients)[0][rows]
    mean, covariance = design.offset[rows].copy(), covariance[rows][:, rows]
    flat = []
    for j, p in enumerate(variances.coefficients):
        if p.prior.distribution == "flat":
            flat.append(j)
            continue
        mu, sd = (values[a.address] if isinstance(a, Reference) else a for a in p.prior.arguments)
        mean += mu * X[:, j]
        covariance += sd**2 * np.outer(X[:, j], X[:, j])
    y = design.response.values[rows]
    n = len(y)
    if not flat:
        return total + stats.multivariate_normal(mean, covariance).logpdf(y)
    # a flat prior: the density of y's components outside the span of X, times |X'X|^-1/2
    F = X[:, flat]
    full, _ = np.linalg.qr(F, mode="complete")
    Q = full[:, len(flat) :]
    inside = stats.multivariate_normal(np.zeros(n - len(flat)), Q.T @ covariance @ Q).logpdf(Q.T @ (y - mean))
    return total + inside - 0.5 * np.linalg.slogdet(F.T @ F)[1]


def dense(block: BlockSpec) -> np.ndarray:
    """Z with a column for each effect of each level, shape (n, L q)."""
    n, q = block.block.X.shape
    Z = np.zeros((n, len(block.block.levels), q))
    Z[np.arange(n), block.block.codes] = at_means(block.block.X, block.sds)[0]
    return Z.reshape(n, -1)


def at_means(X: np.ndarray, parameters: Sequence[Parameter]) -> tuple[np.ndarray, np.ndarray]:
    """Columns after a first one of ones about their means, if by its address the first's prior is of what is there.

    And what brings their coefficients to zero, shape (q, q).
    """
    T = np.eye(X.shape[1])
    if parameters and (parameters[0].address == "Intercept" or parameters[0].address.startswith("centred.")):
        T[0, 1:] = -X[:, 1:].mean(axis=0)
    return X @ T, T


def correlation(block: BlockSpec, u: dict[str, float], values: dict[str, float]) -> tuple[np.ndarray, float]:
    """The correlation matrix of canonical partial correlations tanh(u), and the log density of u: LKJ's, stretched."""
    q, columns = len(block.sds), block.block.columns
    if block.cor is None:
        return np.eye(q), 0.0
    (eta,) = block.cor.prior.arguments
    eta = values[eta.address] if isinstance(eta, Reference) else eta
    pairs = [(columns[k], columns[i]) for i in range(q) for k in range(i)]
    x = np.array([u[f"partial[{block.block.name}, {one}, {other}]"] for one, other in pairs])
    w = np.tanh(x)
    R = lkj.correlation(w, q)
    slopes = -2 * np.logaddexp(x, -x) + 2 * np.log(2)  # log(1 - w^2)
    return R, lkj.lkj_logpdf(R, eta) + lkj.log_stretch(w, q) + slopes.sum()


SCIPY = {  # lambdas show the arguments' names
    "normal": lambda mu, sigma: stats.norm(mu, sigma),  # noqa: PLW0108
    "student_t": lambda nu, mu, sigma: stats.t(nu, mu, sigma),  # noqa: PLW0108
    "cauchy": lambda mu, sigma: stats.cauchy(mu, sigma),  # noqa: PLW0108
    "double_exponential": lambda mu, sigma: stats.laplace(mu, sigma),  # noqa: PLW0108
    "logistic": lambda mu, sigma: stats.logistic(mu, sigma),  # noqa: PLW0108
    "gumbel": lambda mu, beta: stats.gumbel_r(mu, beta),  # noqa: PLW0108
    "skew_normal": lambda xi, omega, alpha: stats.skewnorm(alpha, xi, omega),
    "exponential": lambda beta: stats.expon(scale=1 / beta),
    "gamma": lambda alpha, beta: stats.gamma(alpha, scale=1 / beta),
    "inv_gamma": lambda alpha, beta: stats.invgamma(alpha, scale=beta),
    "lognormal": lambda mu, sigma: stats.lognorm(sigma, scale=np.exp(mu)),
    "weibull": lambda alpha, sigma: stats.weibull_min(alpha, scale=sigma),
    "chi_square": lambda nu: stats.chi2(nu),  # noqa: PLW0108
    "beta": lambda alpha, beta: stats.beta(alpha, beta),  # noqa: PLW0108
    "uniform": lambda lower, upper: stats.uniform(lower, upper - lower),
}
"""Stan's distributions in SciPy's names."""


def is_positive(address: str) -> bool:
    """Whether a parameter is a standard deviation, or an argument of a prior and not its place: `prior[b, sigma]`, not `prior[b, mu]`."""
    if address.startswith("prior["):
        return address.rpartition(", ")[2].removesuffix("]") in POSITIVE
    return "sd[" in address or address == "sigma"


POSITIVE = {"sigma", "beta", "alpha", "nu", "eta"}
"""Arguments that Stan takes from above zero alone, in the priors of the tests."""


def place(p: Parameter, u: float, values: dict[str, float]) -> float:
    """Put the parameter's value at its coordinate u; the log prior density of u."""
    prior: Prior = p.prior
    arguments = [values[a.address] if isinstance(a, Reference) else a for a in prior.arguments]
    positive = is_positive(p.address)
    if prior.distribution == "flat":
        values[p.address] = np.exp(u) if positive else u
        return u if positive else 0.0
    known = SCIPY[prior.distribution](*arguments)
    lower, upper = known.support()
    lower = max(lower, 0.0) if positive else lower
    if np.isfinite(upper):
        x = lower + (upper - lower) * expit(u)
        slope = np.log(upper - lower) + np.log(expit(u)) + np.log(expit(-u))
    elif np.isfinite(lower):
        x, slope = lower + np.exp(u), u
    else:
        x, slope = u, 0.0
    values[p.address] = float(x)
    return float(known.logpdf(x) - (known.logsf(0.0) if positive else 0.0) + slope)


def spec_of(formula: str, data: object, **options: object) -> ModelSpec:
    return mb.model(formula, data, **options).spec
