"""Whether there is a posterior: a residual from which sigma can be estimated, and an end to what flat priors allow."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsmr

from mixedbayes.errors import DataError, PriorError, listed
from mixedbayes.inference.gaussian.collapsed import Collapsed
from mixedbayes.inference.gaussian.coordinates import is_flat
from mixedbayes.inference.gaussian.starts import starts, units_of
from mixedbayes.models.distributions import POSITIVE

LEAST = 2.0
"""Residuals that are told from rounding, in the density's least sigma."""

SUSPICIOUS = 10.0
"""A sigma at which rows are looked at, in the density's least."""

MAX_DENSE = 5_000_000
"""Numbers in the matrix of all columns up to which it is made dense."""

ITERATIONS = 2000
"""Of least squares by a sparse matrix, at most."""


FAR = (6.0, 9.0)
"""Logs of the sds, in units that move y by its own size, between which the fall of the density is taken as what it is to infinity."""

LEAST_FALL = 0.5
"""Of the log density with the log of an sd: it falls as a whole power of the sd, or not at all."""


def check_flat_priors(density: Collapsed) -> None:
    """Refuse flat priors of standard deviations of which the data do not say how large they are at most.

    With L levels and a flat prior of the mean too, the density of the log of an sd s falls as s^(2 - L).

    Raises:
        PriorError: The density of one of them, or of all at once, does not fall to infinity.
    """
    variances, spec, units = density.variances, density.variances.spec, units_of(density)
    sds = [
        p
        for p in (*(p for block in spec.blocks for p in block.scalars), *spec.auxiliary)
        if p.support == POSITIVE
    ]
    flat = [p.address for p in sds if is_flat(p)]
    if not flat:
        return
    known = starts(density)
    base = known[np.argmax(density.log_posterior(known))]
    for names in [[name] for name in flat] + ([flat] if len(flat) > 1 else []):
        places = [variances.names.index(name) for name in names]
        theta = np.stack([base, base])
        begin = np.maximum(base[places], np.log([units.get(name, 1.0) for name in names]))
        theta[:, places] = begin + np.array(FAR)[:, None]
        values = density.log_posterior(theta)
        if not (values[0] - values[1]) / (FAR[1] - FAR[0]) > LEAST_FALL:
            raise PriorError(
                f"With a flat prior for {listed(names)} there is no posterior: these data do not say how large "
                f"{'it is' if len(names) == 1 else 'they are'} at most. Give {'it' if len(names) == 1 else 'them'} a proper prior, "
                f"such as exponential({1 / units.get(names[0], 1.0):.2g})."
            )


def check_residual(density: Collapsed, mode: np.ndarray) -> None:
    """Refuse a response of which predictors and groups leave nothing, but for rounding.

    Its density grows without bound as sigma goes to zero, so that there is no posterior.

    Args:
        density: Of the model.
        mode: The highest place found, shape (d,).

    Raises:
        DataError: There is no residual.
    """
    if density.variances.spec.residual is None:
        return
    if density.variances.at(mode[None]).sigma[0] <= SUSPICIOUS * density.least_sigma:
        _refuse_nothing(density, _left(density))


def check_rows(density: Collapsed) -> None:
    """The same from the rows alone, where they are few enough for a dense matrix and more than the columns.

    Raises:
        DataError: There is no residual.
    """
    n, columns = density.variances.spec.design.response.counted.values.size, density.columns
    if columns < n and n * columns <= MAX_DENSE:
        _refuse_nothing(density, _left(density))


def _refuse_nothing(density: Collapsed, left: float) -> None:
    """Refuse a residual that rounding may have left."""
    if left > LEAST * density.least_sigma:
        return
    spec = density.variances.spec
    name, groups = spec.design.response.name, dict.fromkeys(block.block.group for block in spec.blocks)
    advice = (
        f" If {name} was measured once a group, keep one row of each group and leave it out of the formula."
    )
    raise DataError(
        f"Predictors and groups leave {left:.1g} of {name}, which varies by {density.size:.3g}: that cannot be told from rounding, so "
        f"there is no residual from which sigma could be estimated.{advice if groups else ''}"
    )


def _left(density: Collapsed) -> float:
    """The root mean square of what least squares on all columns leaves of y, from the rows themselves."""
    design, frame = density.variances.spec.modelled, density.moments.frame
    left_out = density.out
    if design.response.weights is not None:
        left_out = np.union1d(left_out, np.flatnonzero(design.response.weights == 0))
    design = design.only(np.delete(np.arange(design.n), left_out)) if len(left_out) else design
    y = design.response.values - design.offset - frame.location  # of the response
    parts = [sparse.csc_array(design.fixed.X @ frame.fixed)]
    for block, to_zero in zip(design.groups, frame.groups, strict=True):
        n, q = block.X.shape
        rows, columns = np.repeat(np.arange(n), q), (block.codes[:, None] * q + np.arange(q)).ravel()
        values = (block.X @ to_zero).ravel()
        parts.append(sparse.csc_array((values, (rows, columns)), shape=(n, len(block.levels) * q)))
    whole = sparse.hstack(parts, format="csc")
    sizes = np.sqrt(np.asarray(whole.multiply(whole).sum(axis=0)).ravel())
    whole = whole[:, sizes > 0] @ sparse.diags_array(1 / sizes[sizes > 0])
    if whole.shape[0] * whole.shape[1] <= MAX_DENSE:
        dense = whole.toarray()
        for _ in range(2):  # the second time for the digits that the first lost
            y = y - dense @ np.linalg.lstsq(dense, y, rcond=1e-12)[0]
    else:
        for _ in range(2):
            y = y - whole @ lsmr(whole, y, atol=1e-14, btol=1e-14, maxiter=ITERATIONS)[0]
    return float(np.sqrt(np.mean(y * y)))
