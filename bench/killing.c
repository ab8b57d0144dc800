/* Kills a process at its N-th change of the files below a folder.

   Preloaded (LD_PRELOAD), it stands before the C library's calls that change files. Each such call on a path below
   `folder` is counted in memory that all processes of the command share; at the N-th, the command's first process and
   the one that called are killed with SIGKILL. A write that is the N-th writes half of its bytes first. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct shared {
    int64_t at;      /* the change that kills; 0: none does */
    int64_t count;   /* changes so far */
    int64_t root;    /* the command's first process */
    char folder[PATH_MAX];
    char what[2 * PATH_MAX]; /* the call that was killed, and its path */
};

static struct shared *state;

__attribute__((constructor)) static void map_state(void) {
    const char *file = getenv("TENFOLD_FAULTS");
    int descriptor = file ? (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0) : -1;
    if (descriptor < 0)
        return;
    void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    syscall(SYS_close, descriptor);
    if (memory != MAP_FAILED)
        state = memory;
}

static void die(const char *call, const char *path) {
    snprintf(state->what, sizeof state->what, "%s %s", call, path);
    kill((pid_t)state->root, SIGKILL);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Whether this call, on this absolute path, is the one to be killed at. */
static int is_last(const char *path) {
    size_t length = strlen(state->folder);
    if (!length || strncmp(path, state->folder, length) || (path[length] && path[length] != '/'))
        return 0;
    return __atomic_add_fetch(&state->count, 1, __ATOMIC_SEQ_CST) == state->at;
}

static void path_of_descriptor(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
}

static void absolute(int folder, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char base[PATH_MAX];
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base))
            base[0] = 0;
    } else
        path_of_descriptor(folder, base);
    snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX / 2, base, name);
}

static void named(const char *call, int folder, const char *name) {
    if (!state || !state->folder[0] || !name)
        return;
    char path[PATH_MAX];
    absolute(folder, name, path);
    if (is_last(path))
        die(call, path);
}

/* 1 where half of what is to be written shall be written, and then `die` be called with `path`. */
static int written(int descriptor, char *path) {
    if (!state || !state->folder[0] || descriptor < 3)
        return 0;
    path_of_descriptor(descriptor, path);
    return is_last(path);
}

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define OPEN(name, begin, folder, ...)                                                                              \
    int name begin {                                                                                                \
        mode_t mode = 0;                                                                                            \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                                        \
            va_list rest;                                                                                           \
            va_start(rest, flags);                                                                                  \
            mode = va_arg(rest, mode_t);                                                                            \
            va_end(rest);                                                                                           \
        }                                                                                                           \
        if (flags & (O_CREAT | O_TRUNC))                                                                            \
            named("open", folder, path);                                                                            \
        REAL(name);                                                                                                 \
        return real(__VA_ARGS__, flags, mode);                                                                      \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD, path)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, path)
OPEN(openat, (int at, const char *path, int flags, ...), at, at, path)
OPEN(openat64, (int at, const char *path, int flags, ...), at, at, path)

#define FOPEN(name)                                                                                                 \
    FILE *name(const char *path, const char *mode) {                                                                \
        if (mode[0] != 'r')                                                                                         \
            named("open", AT_FDCWD, path);                                                                          \
        REAL(name);                                                                                                 \
        return real(path, mode);                                                                                    \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define NAMED(kind, name, begin, folder, path, ...)                                                                 \
    kind name begin {                                                                                               \
        named(#name, folder, path);                                                                                 \
        REAL(name);                                                                                                 \
        return real(__VA_ARGS__);                                                                                   \
    }
NAMED(int, rename, (const char *from, const char *to), AT_FDCWD, to, from, to)
NAMED(int, renameat, (int a, const char *from, int b, const char *to), b, to, a, from, b, to)
NAMED(int, renameat2, (int a, const char *from, int b, const char *to, unsigned f), b, to, a, from, b, to, f)
NAMED(int, unlink, (const char *path), AT_FDCWD, path, path)
NAMED(int, unlinkat, (int at, const char *path, int flags), at, path, at, path, flags)
NAMED(int, rmdir, (const char *path), AT_FDCWD, path, path)
NAMED(int, mkdir, (const char *path, mode_t mode), AT_FDCWD, path, path, mode)
NAMED(int, mkdirat, (int at, const char *path, mode_t mode), at, path, at, path, mode)
NAMED(int, link, (const char *from, const char *to), AT_FDCWD, to, from, to)
NAMED(int, linkat, (int a, const char *from, int b, const char *to, int f), b, to, a, from, b, to, f)
NAMED(int, symlink, (const char *from, const char *to), AT_FDCWD, to, from, to)
NAMED(int, truncate, (const char *path, off_t size), AT_FDCWD, path, path, size)
NAMED(int, truncate64, (const char *path, off64_t size), AT_FDCWD, path, path, size)

#define SETTLED(kind, name, begin, ...)                                                                             \
    kind name begin {                                                                                               \
        char path[PATH_MAX];                                                                                        \
        if (written(descriptor, path))                                                                              \
            die(#name, path);                                                                                       \
        REAL(name);                                                                                                 \
        return real(__VA_ARGS__);                                                                                   \
    }
SETTLED(int, fsync, (int descriptor), descriptor)
SETTLED(int, fdatasync, (int descriptor), descriptor)
SETTLED(int, ftruncate, (int descriptor, off_t size), descriptor, size)
SETTLED(int, ftruncate64, (int descriptor, off64_t size), descriptor, size)
SETTLED(ssize_t, writev, (int descriptor, const struct iovec *parts, int n), descriptor, parts, n)
SETTLED(ssize_t, sendfile, (int descriptor, int from, off_t *offset, size_t n), descriptor, from, offset, n)
SETTLED(ssize_t, sendfile64, (int descriptor, int from, off64_t *offset, size_t n), descriptor, from, offset, n)

#define WRITTEN(name, begin, half, ...)                                                                             \
    ssize_t name begin {                                                                                            \
        char path[PATH_MAX];                                                                                        \
        REAL(name);                                                                                                 \
        if (written(descriptor, path)) {                                                                            \
            if (count > 1)                                                                                          \
                real half;                                                                                          \
            die(#name, path);                                                                                       \
        }                                                                                                           \
        return real(__VA_ARGS__);                                                                                   \
    }
WRITTEN(write, (int descriptor, const void *bytes, size_t count), (descriptor, bytes, count / 2), descriptor, bytes,
        count)
WRITTEN(pwrite, (int descriptor, const void *bytes, size_t count, off_t at), (descriptor, bytes, count / 2, at),
        descriptor, bytes, count, at)
WRITTEN(pwrite64, (int descriptor, const void *bytes, size_t count, off64_t at), (descriptor, bytes, count / 2, at),
        descriptor, bytes, count, at)
