"""Cells of a grid to measurements, in batches over all devices."""
