"""Readers of problem sources: containers (JSON, CSV, Parquet, XML, saved data sets, the Hub) and known layouts."""
