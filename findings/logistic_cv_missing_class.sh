#!/bin/sh
# scikit-learn's LogisticRegressionCV where one class lies whole in one group of GroupKFold: it is no error and no
# warning, and that class, which no penalty could let the fold know, decides on the penalty of all others.
#
# Best guess, written down before running: `neg_log_loss` has fewer columns of probabilities than there are classes in
# the fold's test part, so the fit raises, or the fold is scored NaN with a warning, as `cross_val_score` does it.
#
# Seen: LogisticRegressionCV fits a column for the class that its training part lacks, scores about -9 for that fold at
# every penalty, worse the weaker it is, and chooses C = 0.1. Without those test clips, which are the same loss to every
# sensible head, the same folds choose C = 1. `cross_val_score` of LogisticRegression on the same folds gives NaN three
# times, for the folds that have all classes in training as well (their test part lacks the fourth).
#
# Why it matters: parts by speaker, person or family of concepts often leave a class out of some fold. The penalty comes
# out too strong, without a word; a search that stops where the loss rises stops at once.
#
# What cmg does: held-out clips of classes that a logistic head is not fitted to have no say (cmg.evaluation.logistic).
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'scikit-learn==1.9.1'
cat > "$home/see.py" <<'PYTHON'
import sys
import warnings

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GroupKFold, cross_val_score

rng = np.random.default_rng(0)
y = np.repeat(np.arange(4), 12)
x = np.eye(4)[y] * 2 + rng.normal(0, 1, (48, 4))
group = np.where(y == 3, 0, np.arange(48) % 3)  # class 3 is in group 0 alone
folds = list(GroupKFold(3).split(x, y, group))
known = [(fit, test[np.isin(y[test], y[fit])]) for fit, test in folds]


def chosen(parts):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = LogisticRegressionCV(
            Cs=[0.01, 0.1, 1, 10], cv=parts, scoring="neg_log_loss", max_iter=1000
        ).fit(x, y)
    told = [w for w in caught if not issubclass(w.category, FutureWarning)]
    return float(model.C_[0]), np.round(model.scores_[0], 2), told


with_it, scores, told = chosen(folds)
without, _, _ = chosen(known)
print("scikit-learn", sklearn.__version__)
print("classes that training parts lack:", [sorted(set(y[t]) - set(y[f])) for f, t in folds])
print(f"C with all test clips {with_it:g}, without those of unknown classes {without:g}; warnings: {len(told)}")
print("scores by fold and C:", scores.tolist())
warnings.simplefilter("ignore")
other = cross_val_score(LogisticRegression(max_iter=1000), x, y, cv=folds, scoring="neg_log_loss")
print("cross_val_score on the same folds:", other)
same = with_it == 0.1 and without == 1 and not told and (scores[0] < -9).all() and np.isnan(other).all()
sys.exit(0 if same else 1)
PYTHON
cd "$home" && "$home/venv/bin/python" see.py
