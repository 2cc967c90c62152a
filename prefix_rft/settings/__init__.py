"""Typed settings of a run; imports without torch."""

from prefix_rft.settings.backend import BackendSettings, LocalBackend, VerlBackend, base_backend, embedded
from prefix_rft.settings.base import Settings, parse
from prefix_rft.settings.data import ChainData, Columns, DataSettings, HubData, JsonlData, ParquetData
from prefix_rft.settings.evaluation import BenchmarkSettings, EvaluationSettings, ValidationSettings
from prefix_rft.settings.grading import GradingSettings
from prefix_rft.settings.method import (
    Clipping,
    DrPoMethod,
    LuffyMethod,
    MethodSettings,
    PrefixRftMethod,
    ReliftMethod,
    RftMethod,
    RlSftLossMethod,
    SftMethod,
    SftRftMethod,
    UftMethod,
    phases,
)
from prefix_rft.settings.model import Architecture, ModelSettings, PretrainedModel, ScratchModel, TinyModel
from prefix_rft.settings.optimisation import Aggregation, OptimisationSettings, RlPhase, SftPhase
from prefix_rft.settings.run import RunConfig
from prefix_rft.settings.schedule import (
    ConstantPrefix,
    CosinePrefix,
    LinearPrefix,
    PrefixSchedule,
    UniformPrefix,
)
from prefix_rft.settings.tracking import LauncherSettings, TrackingSettings

__all__ = [
    "Aggregation",
    "Architecture",
    "BackendSettings",
    "BenchmarkSettings",
    "ChainData",
    "Clipping",
    "Columns",
    "ConstantPrefix",
    "CosinePrefix",
    "DataSettings",
    "DrPoMethod",
    "EvaluationSettings",
    "GradingSettings",
    "HubData",
    "JsonlData",
    "LauncherSettings",
    "LinearPrefix",
    "LocalBackend",
    "LuffyMethod",
    "MethodSettings",
    "ModelSettings",
    "OptimisationSettings",
    "ParquetData",
    "PrefixRftMethod",
    "PrefixSchedule",
    "PretrainedModel",
    "ReliftMethod",
    "RftMethod",
    "RlPhase",
    "RlSftLossMethod",
    "RunConfig",
    "ScratchModel",
    "Settings",
    "SftMethod",
    "SftPhase",
    "SftRftMethod",
    "TinyModel",
    "TrackingSettings",
    "UftMethod",
    "UniformPrefix",
    "ValidationSettings",
    "VerlBackend",
    "base_backend",
    "embedded",
    "parse",
    "phases",
]
