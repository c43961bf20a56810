"""Measures and findings in, a verdict with a reason for each rule out.

    catalogue   which metrics a policy can name (read from the types of `qaudit.values`), and their values
    schema      the policy file: bounded, strict, every unknown name an error that gives the nearest
    evaluation  rules and requirements -> Verdict; whatever was not measured is inconclusive, never a pass
    sentences   the reason beside each result, in words that a person can defend

The room does not know how anything was measured.
"""
