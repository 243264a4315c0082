"""Models in one file of llama.cpp's format GGUF: read into plain model directories, and written from them."""
