"""Observations in, measures with intervals out: pure functions over labels and log-probabilities.

The room knows neither suites nor engines nor policies. What cannot be measured is None, never zero:
a rate over no replies, a paired comparison without a decided pair, an index over too few refusals.

    rates        one arm: proportion, Wilson interval
    paired       both arms: flips, Tango interval, McNemar, detectable fall, Holm
    first_token  flips of the first reply token, safety flips, opening mass
    divergence   KL, top-1 agreement, perplexity from log-probabilities
    quality      multiple-choice accuracy and perplexity, compared
    rtsi         Refusal Template Stability Index;  rtsi_table: the same over a CSV table
    regimes      hidden danger: quality kept, refusals lost
"""
