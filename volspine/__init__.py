"""volspine: lumbar-spine MRI in, 25 ordinal stenosis grades out. Research use only."""

__version__ = "0.1.0"
