"""Reading: files to instances, to series, to stacks, to a study."""
