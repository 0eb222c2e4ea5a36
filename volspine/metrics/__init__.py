"""Measures of a prediction: pure functions first, `torchmetrics.Metric` second."""
