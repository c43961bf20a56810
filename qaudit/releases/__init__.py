"""Signed releases wherever they lie: on a disk, on a hub, in an OCI image layout.

The gate (`qaudit.attest`) reads folders. Here a release is brought into one, under the names that were
signed, and nothing is believed of the place that it came from: only what the gate lets through counts.
"""
