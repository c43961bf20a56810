"""Which globals a pickle of weights needs, which run code, and which are merely classes of a library.

The list of what is allowed is short and exact; whatever is not on it is at least unknown, so that no way
of naming `os.system` that nobody has thought of yet gets through. The list of what is dangerous only
makes the finding sharper.
"""

from typing import Final, Literal

Standing = Literal["allowed", "library", "unknown", "dangerous"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STORAGES: Final = (
    "Double Float Half BFloat16 Long Int Short Char Byte Bool ComplexDouble ComplexFloat QUInt8 QInt8 QInt32 "
    "QUInt4x2 QUInt2x4 Untyped Typed"
)
_TORCH_TYPES: Final = (
    "float64 float32 float16 bfloat16 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz "
    "float8_e8m0fnu "
    "float4_e2m1fn_x2 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool complex32 complex64 complex128 "
    "quint8 qint8 qint32 quint4x2 quint2x4 int1 int2 int3 int4 int5 int6 int7 uint1 uint2 uint3 uint4 "
    "uint5 uint6 "
    "uint7 bits8 bits16 bits1x8 bits2x4 bits4x2 half float double long int short"
)
_NUMPY_TYPES: Final = (
    "float64 float32 float16 longdouble int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool_ bool "
    "complex64 "
    "complex128 str_ bytes_ object_ datetime64 timedelta64 intc longlong ulonglong void generic number"
)
ALLOWED: Final[dict[str, frozenset[str]]] = {
    "builtins": _words(
        "set frozenset bytearray bytes str int float bool complex list dict tuple slice range object "
        "NotImplemented Ellipsis xrange unicode long"
    ),
    "collections": frozenset({"OrderedDict", "defaultdict", "Counter", "deque"}),
    "copyreg": frozenset({"_reconstructor", "__newobj__"}),
    "_codecs": frozenset({"encode"}),
    "datetime": frozenset({"datetime", "date", "time", "timedelta", "timezone"}),
    "decimal": frozenset({"Decimal"}),
    "fractions": frozenset({"Fraction"}),
    "uuid": frozenset({"UUID"}),
    "pathlib": _words("PosixPath PurePosixPath WindowsPath PureWindowsPath Path PurePath"),
    "pathlib._local": frozenset({"PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath", "Path"}),
    "argparse": frozenset({"Namespace"}),
    "numpy": frozenset({"ndarray", "dtype", "matrix", "ma", *_NUMPY_TYPES.split()}),
    "numpy.ma.core": frozenset({"_mareconstruct", "MaskedArray"}),
    "numpy.random._mt19937": frozenset({"MT19937"}),
    "numpy.random._pcg64": frozenset({"PCG64", "PCG64DXSM"}),
    "numpy.random._philox": frozenset({"Philox"}),
    "numpy.random._sfc64": frozenset({"SFC64"}),
    "numpy.random._pickle": frozenset({"__randomstate_ctor", "__bit_generator_ctor", "__generator_ctor"}),
    "numpy.random.bit_generator": frozenset({"__pyx_unpickle_SeedSequence", "SeedSequence"}),
    "numpy.dtypes": frozenset(f"{name}DType" for name in _words(
        "Float64 Float32 Float16 Int64 Int32 Int16 Int8 UInt64 UInt32 UInt16 UInt8 Bool Complex64 "
        "Complex128 Str Bytes Object Void LongDouble DateTime64 TimeDelta64 String"
    )),
    "torch": frozenset({
        "Tensor", "Size", "device", "dtype", "Generator", "ScriptObject", "strided", "sparse_coo",
        "sparse_csr",
        "contiguous_format", "channels_last", "preserve_format", "per_tensor_affine", "per_channel_affine",
        "per_channel_affine_float_qparams", *_TORCH_TYPES.split(),
        *(f"{name}Storage" for name in _STORAGES.split()),
    }),
    "torch.storage": frozenset({"UntypedStorage", "TypedStorage", "_LegacyStorage"}),
    "torch.nn.parameter": frozenset({"Parameter", "Buffer", "UninitializedParameter"}),
    "torch.serialization": frozenset({"_get_layout"}),
    "torch._tensor": frozenset({"_rebuild_from_type_v2", "Tensor"}),
    # what TorchScript writes, for a reader of its own that runs no Python
    "torch.jit._pickle": frozenset({
        "build_intlist", "build_tensorlist", "build_doublelist", "build_boollist", "build_tensor_from_id",
        "restore_type_tag",
    }),
    "torch._C": frozenset({"_NestedTensorBase"}),
    "torch._utils": frozenset(f"_rebuild_{name}" for name in _words(
        "tensor tensor_v2 tensor_v3 parameter parameter_with_state qtensor sparse_tensor "
        "sparse_csr_tensor device_tensor_from_numpy device_tensor_from_cpu_tensor meta_tensor_no_storage "
        "wrapper_subclass nested_tensor xla_tensor"
    )),
    "joblib.numpy_pickle": frozenset({"NumpyArrayWrapper", "NDArrayWrapper", "ZNDArrayWrapper"}),
    # what transformers writes beside a checkpoint that it trained: settings, no code
    "transformers.training_args": frozenset({"TrainingArguments", "OptimizerNames", "ParallelMode"}),
    "transformers.training_args_seq2seq": frozenset({"Seq2SeqTrainingArguments"}),
    "transformers.trainer_utils": frozenset({
        "IntervalStrategy", "SchedulerType", "HubStrategy", "SaveStrategy", "EvaluationStrategy",
        "FSDPOption",
    }),
    "transformers.trainer_pt_utils": frozenset({"AcceleratorConfig"}),
    "transformers.integrations.deepspeed": frozenset({"HfDeepSpeedConfig", "HfTrainerDeepSpeedConfig"}),
    "accelerate.state": frozenset({"PartialState", "AcceleratorState"}),
    "accelerate.utils.dataclasses": frozenset({
        "DistributedType", "DeepSpeedPlugin", "FullyShardedDataParallelPlugin", "DynamoBackend",
        "PrecisionType",
    }),
}  # fmt: skip
for _old, _new in (
    ("numpy.core.multiarray", ("_reconstruct", "scalar")),
    ("numpy._core.multiarray", ("_reconstruct", "scalar")),
    ("numpy.core.numeric", ("_frombuffer",)),
    ("numpy._core.numeric", ("_frombuffer",)),
):
    ALLOWED[_old] = frozenset(_new)

# modules of which everything counts: programs, files, networks, interpreters, loaders of more pickles
_MODULES: Final = _words(
    "os posix nt ntpath posixpath sys subprocess _posixsubprocess pty popen2 platform shutil tempfile "
    "glob runpy importlib _frozen_importlib _frozen_importlib_external imp zipimport pkgutil pip "
    "ensurepip setuptools distutils venv zipapp code codeop bdb pdb cProfile profile trace timeit "
    "doctest unittest test pydoc idlelib lib2to3 ctypes _ctypes cffi mmap pickle _pickle cPickle dill "
    "cloudpickle marshal shelve dbm jsonpickle socket _socket ssl _ssl select asyncio selectors "
    "socketserver http httplib urllib urllib2 requests aiohttp httpx urllib3 ftplib poplib imaplib "
    "nntplib smtplib telnetlib xmlrpc webbrowser antigravity this turtle multiprocessing threading "
    "_thread concurrent signal atexit gc inspect dis ast types builtins_ tokenize functools_ resource "
    "winreg _winapi msvcrt _osx_support _aix_support _pyrepl sysconfig site webassets fcntl tty "
    "termios curses readline rlcompleter cgi cgitb wsgiref sched logging_ paramiko fabric invoke "
    "pexpect sh plumbum psutil pyarrow_ linecache fileinput shlex commands"
)
_NAMES: Final[dict[str, frozenset[str]]] = {
    "builtins": _words(
        "eval exec compile open __import__ getattr setattr delattr hasattr globals locals vars dir input "
        "breakpoint apply execfile map filter type super memoryview classmethod staticmethod property "
        "print exit quit help reduce intern file"
    ),
    "io": frozenset({"open", "FileIO", "open_code", "OpenWrapper"}),
    "_io": frozenset({"open", "FileIO", "open_code"}),
    "operator": frozenset({"attrgetter", "itemgetter", "methodcaller", "call"}),
    "_operator": frozenset({"attrgetter", "itemgetter", "methodcaller", "call"}),
    "functools": frozenset({"partial", "reduce", "partialmethod", "singledispatch", "cached_property"}),
    "_functools": frozenset({"partial", "reduce"}),
    "itertools": frozenset({"starmap", "accumulate", "filterfalse"}),
    "logging": frozenset({"FileHandler", "basicConfig"}),
    "logging.config": frozenset({"dictConfig", "fileConfig", "listen"}),
    "uuid": frozenset({"_get_command_stdout", "_popen", "_load_system_functions"}),
    "collections": frozenset({"namedtuple", "_eval"}),
    "numpy": _words("load fromfile memmap save savetxt loadtxt genfromtxt DataSource"),
    "numpy.testing": frozenset({"runstring", "measure", "rundocs"}),
    "joblib": frozenset({"load", "dump", "Parallel", "delayed", "Memory"}),
    "pandas": frozenset({"eval", "read_pickle", "read_csv", "read_json", "read_hdf"}),
    "torch": frozenset({"load", "save", "compile", "hub", "jit", "ops", "classes"}),
    "torch.serialization": frozenset({"load", "_load", "_legacy_load", "save", "_open_file"}),
    "torch.storage": frozenset(),
    "torch.hub": frozenset({"load", "download_url_to_file", "load_state_dict_from_url", "_load_local"}),
    "torch.utils.collect_env": frozenset({"run", "run_and_read_all", "run_and_parse_first_match"}),
    "torch.utils._config_module": frozenset({"ConfigModule.load_config", "load_config"}),
    "torch.utils.cpp_extension": frozenset({"load", "load_inline"}),
    "torch._inductor.codecache": frozenset({"compile_file", "PyCodeCache.load"}),
    "torch.distributed.rpc": frozenset({"RPC"}),
    "transformers": frozenset({"pipeline", "AutoModel", "AutoTokenizer"}),
    "transformers.dynamic_module_utils": frozenset({"get_class_from_dynamic_module", "get_class_in_module"}),
    "tensorflow": frozenset({"io", "load_op_library", "raw_ops"}),
    "keras": frozenset({"models"}),
    "sympy": frozenset({"sympify", "parse_expr", "lambdify"}),
    "yaml": frozenset({"load", "unsafe_load", "full_load", "load_all", "unsafe_load_all"}),
    "site": frozenset({"main"}),
    "jinja2": frozenset({"Template", "Environment"}),
}  # fmt: skip
_PARTS: Final = (
    "numpy.f2py", "numpy.testing._private", "numpy.distutils", "numpy.ctypeslib", "torch.utils.bottleneck",
    "torch.utils.data.datapipes", "torch.fx", "torch._dynamo", "torch.jit", "torch.package",
    "torch.distributed.rpc",
    "torch._inductor", "torch.multiprocessing", "cloudpickle.cloudpickle", "sklearn.externals", "pandas.io",
    "pandas.core.computation", "scipy.weave", "IPython", "ipykernel", "jupyter_client", "nltk.downloader",
    "huggingface_hub", "gradio", "fsspec", "smart_open", "git", "docker", "kubernetes", "boto3", "botocore",
)  # fmt: skip
# well known homes of models' classes; of these a class by its plain name is only worth a look
_LIBRARIES: Final = _words(
    "torch torchvision torchaudio transformers accelerate peft trl sklearn numpy scipy pandas xgboost "
    "lightgbm catboost omegaconf pytorch_lightning lightning lightning_fabric fairseq ultralytics hqq "
    "auto_gptq gptqmodel awq bitsandbytes optimum diffusers sentence_transformers tokenizers "
    "safetensors datasets deepspeed megatron nemo timm einops enum dataclasses typing collections "
    "statsmodels spacy keras tensorflow jax flax esm speechbrain whisper llmcompressor "
    "compressed_tensors torchao quanto vllm"
)


def standing(module: str, name: str) -> Standing:
    """Return how much a global is to be trusted, by its module and its name, which may hold dots."""
    if name in ALLOWED.get(module, ()):
        return "allowed"
    if module.startswith("__torch__.") and name.isidentifier():
        return "allowed"  # a class of a TorchScript program; there is no such module in Python
    top = module.partition(".")[0]
    if top in _MODULES or name in _NAMES.get(module, ()) or module.startswith(_PARTS):
        return "dangerous"
    if (
        name.partition(".")[0] in _NAMES.get(module, ())
        or name.startswith("__")
        or "__" in name.partition(".")[2]
    ):
        return "dangerous"
    if (module, name) == ("torch.storage", "_load_from_bytes"):
        return "library"  # loads a byte string that the walk looks into
    plain = module.replace(".", "a").isidentifier() and name.isidentifier()
    if top in _LIBRARIES and plain and name[:1].isupper():
        return "library"
    return "unknown"


def is_dangerous(module: str, name: str) -> bool:
    """Return whether a global runs code, opens files or talks to a network."""
    return standing(module, name) == "dangerous"
