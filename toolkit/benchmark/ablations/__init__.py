"""The paper's ablations (tables 4 to 7) and the rivals, trained from nothing, several seeds.

* `plan`: the tables, their rows, the scales
* `data`: what is trained and tested on: rendered, or the user's file split by clip
* `training_runs`: one folder a trained network, named by recipe, seed and data; `pool` runs
  them and the predictions side by side as child processes, each of them `worker`
* `boxes`: detected boxes in place of the true ones (table 7)
* `seed_scores`: several seeds scored on the same resamples; `seed_tables`: the tables
* `figures`: error by distance and by predicted scale, reliability, panels
* `run`: all of it in order

Adding a row: name it in `plan`. Adding a scale: a line in `plan.SCALES`.
"""
