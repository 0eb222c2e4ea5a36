"""Synthetic lumbar-spine MRI with known truth: spec, anatomy, measure, render, acquire, DICOM."""
