"""Networks and losses: tensors in, tensors out; nothing here knows files, patients or trainers."""
