"""Prediction: a model folder and a study's images to 25 calibrated grades and their files."""
