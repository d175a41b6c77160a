# Oracle of model_matrix_r.json: what R's model.matrix makes of right-hand sides.
# Run in this directory: Rscript model_matrix.R
library(jsonlite)
library(splines)

n <- 36
set.seed(20261121)
data <- data.frame(
  y = round(rnorm(n), 6), x = round(rnorm(n), 6), z = round(runif(n, 1, 5), 6),
  f2 = sample(c("lo", "hi"), n, TRUE),
  f3 = sample(c("A", "B", "C"), n, TRUE),
  f4 = sample(c("p", "q", "r", "s"), n, TRUE),
  t = sample(c(TRUE, FALSE), n, TRUE),
  g = rep(c("g1", "g2", "g3", "g4"), length.out = n)
)
for (name in c("f2", "f3", "g")) data[[name]] <- factor(data[[name]])
# a level that never occurs, and an order that is not the alphabet's
data$f4 <- factor(data$f4, levels = c("s", "p", "never", "q", "r"))

same <- c(
  "1", "0", "x", "0 + x", "x - 1", "f3", "0 + f3", "f3 - 1", "f4", "-1 + f4", "t", "0 + t",
  "x + f3", "0 + x + f3", "0 + f2 + f3", "0 + f3 + f2", "f2 + f3 + f4", "0 + t + f2 + f4",
  "f2:f3", "0 + f2:f3", "f2*f3", "0 + f2*f3", "f2 + f2:f3", "f3 + f2:f3", "0 + f2 + f2:f3", "0 + f3 + f2:f3",
  "f2/f3", "0 + f2/f3", "f2/f3/t", "f2/x", "0 + f2/x", "(f2 + t)/x", "f3 %in% f2", "f2 + f3 %in% f2",
  "x:f3", "0 + x:f3", "x + x:f3", "0 + x + x:f3", "f3 + x:f3", "0 + f3 + x:f3", "x*f3", "0 + x*f3",
  "x:z", "x*z", "x*z*f2", "0 + x*z*f2", "x:z:f3", "0 + x:z:f3", "x + x:z:f3", "x:z + x:z:f3",
  "f2*f3*t", "0 + f2*f3*t", "f2:f3:t", "f2 + f2:f3:t", "f2:f3 + f2:f3:t", "f2 + f3 + f2:f3:t", "f2*f3*t - f2",
  "f2*f3*t - f2:f3", "f2*f3*t - f2:f3:t", "f2*f3 - f2", "f2*f3 - f3", "f2*x - x", "f2*x - f2", "0 + f2*x - f2",
  "(f2 + f3 + t)^2", "0 + (f2 + f3 + t)^2", "(x + f2 + f3)^2", "(x + f2 + f3)^3", "0 + (x + f3)^2",
  "(f2 + f3 + t)^2 - f2:t", "f2 + f4:x + f2:f3", "f3:x + f3", "x:f2 + z:f3", "0 + x:f2 + z:f3", "0 + x:f2 + f2",
  "f2:x:f3 + x:f3", "t:x", "t*f3", "0 + t:f2:x",
  "C(f3, contr.sum)", "0 + C(f3, contr.sum)", "C(f3, contr.helmert)", "C(f4, contr.poly)", "0 + C(f4, contr.poly)",
  "C(f4, contr.treatment)", "C(f3, contr.sum)*f2", "x:C(f3, contr.sum)", "x*C(f4, contr.helmert)",
  "f2:C(f3, contr.sum)", "0 + f2 + C(f3, contr.sum)", "C(f3, contr.SAS)", "C(f3, contr.sum):C(f2, contr.sum)",
  "I(x^2)", "x + I(x^2) + I(x^3)", "f2*I(x^2)", "log(z)", "f3:log(z)", "sqrt(z) + exp(x)", "I(x + z)", "I(2*x - z/3)",
  "I(x > 0)", "I(x > 0):z", "I(-x^2)", "I(x*z)", "abs(x) + log10(z)",
  "poly(x, 2)", "poly(x, 3)*f2", "0 + poly(x, 2)", "f3:poly(x, 2)", "bs(z, df = 5)", "bs(z, df = 4)*f2",
  "bs(z, knots = c(2, 3), degree = 2)", "scale(x)", "scale(x)*f3", "0 + scale(x):f2", "x + 1 - 1", "x - 1 + 1", "0 + x + 1"
)
# the same meaning, spelt otherwise in R
spelt <- list(
  "center(x)" = "scale(x, scale = FALSE)",
  "center(x)*f2" = "scale(x, scale = FALSE)*f2",
  "{x + z}" = "I(x + z)",
  "f3 + {x^2}" = "f3 + I(x^2)",
  "(f2 + f3)**2" = "(f2 + f3)^2",
  "C(f3, contr.treatment('B'))" = "C(f3, contr.treatment(levels(f3), base = 2))",
  "I(z % 2)" = "I(z %% 2)",
  "I(z // 2)" = "I(z %/% 2)",
  "I((x > 0) & (z > 3))" = "I(x > 0 & z > 3)",
  "I(f3 == 'B')" = "I(f3 == 'B')"
)
spelling <- c(setNames(as.list(same), same), spelt)

probe <- sin(1:n) + data$y # fitted values of this vector tell column spaces of one rank apart
case <- function(formula) {
  X <- model.matrix(as.formula(paste("~", spelling[[formula]])), droplevels(data))
  decomposed <- qr(X)
  list(
    formula = formula, r = spelling[[formula]], columns = I(as.character(colnames(X))), sums = I(as.numeric(colSums(X))),
    sumsq = I(as.numeric(colSums(X^2))), rank = decomposed$rank,
    fitted = if (ncol(X)) unname(qr.fitted(decomposed, probe)) else rep(0, n)
  )
}
write_json(
  list(
    origin = "model_matrix.R", R = R.version.string,
    levels = list(f2 = levels(data$f2), f3 = levels(data$f3), f4 = levels(data$f4), g = levels(data$g)),
    data = data, probe = probe, cases = lapply(names(spelling), case)
  ),
  "model_matrix_r.json",
  dataframe = "columns", digits = 10, auto_unbox = TRUE
)
