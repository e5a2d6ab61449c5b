"""Texts to vectors, for the embedder and the query service alike: the only package that imports torch and ONNX."""
