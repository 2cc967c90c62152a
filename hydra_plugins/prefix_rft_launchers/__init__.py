"""Launchers behind `hydra/launcher=<name>`; Hydra accepts plugins from the package `hydra_plugins` alone."""
