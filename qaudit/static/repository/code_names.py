"""Names that tell what a call does, and texts that name where secrets are kept or stolen data is sent."""

from typing import Final

from qaudit.static.lazy_pattern import LazyPattern

RUNS: Final = LazyPattern(
    r"(?:exec|eval|execfile|os\.(?:system|popen\w*|exec[lv]\w*|spawn\w+|posix_spawnp?|startfile|dup2)|"
    r"posix\.(?:system|popen|exec\w+)|nt\.system|subprocess\.\w+(?:\.\w+)*|_posixsubprocess\.\w+|pty\.spawn|pty\.fork|"
    r"commands\.\w+|popen2\.\w+|runpy\.run_\w+|code\.(?:interact|InteractiveInterpreter\S*|InteractiveConsole\S*)|"
    r"asyncio\.create_subprocess_\w+|pexpect\.\w+|pip\.(?:main|_internal\S*)|types\.(?:FunctionType|CodeType)|"
    r"sh\.\w+|plumbum\.\S+|fabric\.\S+|invoke\.run|timeit\.(?:timeit|repeat)|cProfile\.run|profile\.run|"
    r"pdb\.run\w*|pydoc\.pipepager|webbrowser\.open\w*)\Z"
)
NETWORK: Final = LazyPattern(
    r"(?:urllib\.request\.\w+|urllib2\.\w+|urllib3\.\S+|requests\.\w+(?:\(\)\.\w+)?|httpx\.\w+|http\.client\.\w+|"
    r"socket\.(?:socket\S*|create_connection|create_server|getaddrinfo|gethostbyname)|ssl\.\w+|ftplib\.\w+|"
    r"smtplib\.\w+|telnetlib\.\w+|xmlrpc\.client\.\w+|aiohttp\.\S+|websockets?\.\w+|paramiko\.\S+|"
    r"huggingface_hub\.(?:HfApi\S*|upload_\w+|create_\w+)|boto3\.\w+|dns\.resolver\.\w+|torch\.hub\.\w+)\Z"
)
NATIVE: Final = LazyPattern(
    r"(?:ctypes\.(?:CDLL|PyDLL|WinDLL|OleDLL|cdll\S*|windll\S*|pythonapi\S*)|cffi\.FFI\S*|_ctypes\.dlopen|mmap\.mmap|"
    r"torch\.ops\.load_library|torch\.classes\.load_library|torch\.utils\.cpp_extension\.load\w*|"
    r"importlib\.machinery\.ExtensionFileLoader\S*|imp\.load_dynamic|tensorflow\.load_op_library)\Z"
)
UNPICKLES: Final = LazyPattern(
    r"(?:c?pickle\.(?:loads?|Unpickler\S*)|_pickle\.loads?|dill\.loads?|cloudpickle\.loads?|joblib\.load|"
    r"marshal\.loads?|shelve\.open|jsonpickle\.decode|torch\.load|numpy\.load|pandas\.read_pickle|"
    r"yaml\.(?:load|unsafe_load|full_load)(?:_all)?)\Z"
)
DECODES: Final = LazyPattern(
    r"(?:.*b(?:16|32|64|85)decode|.*decodebytes|.*fromhex|.*unhexlify|.*decompress|codecs\.decode|.*\.decrypt|"
    r"marshal\.loads?|pickle\.loads|urllib\.request\.urlopen\S*|requests\.(?:get|post)\S*|.*a2b_\w+)\Z"
)
CHANGES: Final = LazyPattern(
    r"(?:atexit\.register|sys\.(?:settrace|setprofile|addaudithook|path_hooks\S*|meta_path\S*)|"
    r"site\.(?:addsitedir|get\w*sitepackages)|threading\.Thread|multiprocessing\.Process|signal\.signal|os\.(?:fork|setuid|chmod|kill)|"
    r"os\.(?:remove|unlink|rename|replace|symlink|rmdir|removedirs)|shutil\.(?:rmtree|move|copy\w*))\Z"
)
TAKES_CODE: Final = frozenset(
    {"exec", "eval", "compile", "marshal.loads", "pickle.loads", "types.FunctionType", "os.system"}
)
DYNAMIC: Final = frozenset(
    {"__import__", "importlib.import_module", "importlib.__import__", "importlib.reload"}
)
SECRETS: Final = LazyPattern(
    r"(?:^|[/\\~])(?:\.ssh(?:[/\\]|$)|id_rsa\b|id_ed25519\b|\.aws[/\\]credentials|\.netrc\b|\.kube[/\\]config|"
    r"etc[/\\](?:passwd|shadow)\b|\.git-credentials\b|\.docker[/\\]config\.json|\.gnupg\b|wallet\.dat\b|"
    r"proc[/\\]self[/\\]environ)|\bauthorized_keys\b|\\Login Data\b|169\.254\.169\.254"
)
TOKENS: Final = frozenset(
    {
        "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_SECRET", "WANDB_API_KEY", "PYPI_TOKEN", "NPM_TOKEN",
    }
)  # fmt: skip
DROPS: Final = LazyPattern(
    r"discord(?:app)?\.com/api/webhooks|api\.telegram\.org/bot|pastebin\.com/raw|\.ngrok(?:-free)?\.(?:io|app)|"
    r"webhook\.site|requestbin|\.oast\.\w+|interact\.sh|burpcollaborator|transfer\.sh|\.onion\b|"
    r"https?://(?!127\.|0\.0\.0\.0|10\.|192\.168\.)\d{1,3}(?:\.\d{1,3}){3}"
)
