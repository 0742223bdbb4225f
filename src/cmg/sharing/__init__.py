"""A run made into a folder for others: weights, configuration, evaluation, a model card, ONNX."""
