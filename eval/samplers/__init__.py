"""Who writes the samples of an evaluation: this process, vLLM, or a server."""
