/* Between a program and the disk: journals what the program does to the files of one folder, or makes it fail.
 *
 *      program ──write, fsync, rename ...──▶ this shim ──▶ kernel
 *                                               │  fails the n-th operation   (WATCHLISTD_SHIM_FAIL)
 *                                               └─▶ journal, in order         (WATCHLISTD_SHIM_JOURNAL)
 *
 * Loaded with LD_PRELOAD into a real program, unchanged. tests/support/faults builds it, reads the journal, and makes of
 * any prefix of it what a disk may hold after a power cut.
 *
 *      WATCHLISTD_SHIM_DIR      the folder that is watched, with everything below it; without it the shim is idle
 *      WATCHLISTD_SHIM_JOURNAL  a file elsewhere; each operation that succeeded is appended to it
 *      WATCHLISTD_SHIM_COUNT    a file of 16 bytes elsewhere: operations so far, failures so far (u64 each)
 *      WATCHLISTD_SHIM_FAIL     comma-separated NAME:n (the n-th operation, from 1), NAME:n-m (from the n-th to the m-th) or
 *                               NAME:n+ (from the n-th on), where
 *                               ENOSPC  creating, writing, growing, renaming, syncing fail: a full disk
 *                               EIO     everything fails: a broken disk
 *                               EROFS   everything but syncing fails: a read-only file system
 *                               SHORT   a write takes only the first half of its bytes
 *                               KILL    the process kills itself before the operation
 *      WATCHLISTD_SHIM_STDOUT   if set, what goes to standard output is journalled as an acknowledgement
 *
 * An operation is: opening for writing, write, truncate, fallocate, fsync, rename, link, unlink, mkdir, rmdir. A file named
 * `acks` is not part of the disk: each write to it is journalled as an acknowledgement, exactly where it happened between
 * the others, counts as no operation, and never fails.
 *
 * What an fd is, is asked of the kernel each time (fstat, /proc/self/fd): there is no table that dup, fork, exec or close
 * could make wrong. Files are known by inode and names by their folder's inode, so open files survive renames as they do
 * in the kernel. The kernel is called directly (syscall), not through the libc that is hidden here.
 *
 * Not seen: stores through mmap, system calls made without libc (the crate rustix does that), writes inside libc's stdio,
 * io_uring. SQLite maps only its -shm file, which holds nothing that must survive: it is built anew from the -wal file.
 * Its database is mapped only if PRAGMA mmap_size says so; the default is 0. The driver compares what the journal says with
 * the folder after each run, so that whatever was missed is found. O_SYNC and sync() count for nothing: that errs on the
 * strict side. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#if __SIZEOF_LONG__ != 8
#error "the shim passes 64-bit offsets in one register"
#endif

/* ---- state: set once by the constructor, read by all threads; before that the shim is idle ---- */

enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC, RENAME, LINK, UNLINK, MKDIR, ACK };

/* Which operations a fault applies to. */
enum { OPEN = 1, MAKE = 2, FILL = 4, RESIZE = 8, FLUSH = 16, NAME = 32, REMOVE = 64 };

struct fault { int error; unsigned operations; uint64_t first, last; };
enum { SHORT_WRITE = -1, KILL = -2 };

struct counts { _Atomic uint64_t operations, failures; };

static int on;
static char root[PATH_MAX];
static size_t root_len;
static int journal = -1;
static int stdout_acknowledges;
static struct counts own_counts, *counts = &own_counts;
static struct fault faults[8];
static size_t fault_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void broken(const char *what)
{
    dprintf(2, "faults shim: %s: %s\n", what, strerror(errno));
    abort();
}

/* Out of the way of programs that expect their first file to be 3; not inherited by what the program starts, which opens
 * its own. */
static int open_far(const char *path, int flags)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CREAT | O_CLOEXEC, 0600);
    int far = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 500);
    if (far < 0)
        broken(path);
    syscall(SYS_close, fd);
    return far;
}

static void add_fault(const char *text)
{
    static const struct { const char *name; int error; unsigned operations; } known[] = {
        {"ENOSPC", ENOSPC, MAKE | FILL | RESIZE | FLUSH | NAME},
        {"EIO", EIO, ~0u},
        {"EROFS", EROFS, ~(unsigned)FLUSH},
        {"SHORT", SHORT_WRITE, FILL},
        {"KILL", KILL, ~0u},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i].name);
        char *end;
        if (strncmp(text, known[i].name, n) || text[n] != ':' || fault_count == sizeof faults / sizeof *faults)
            continue;
        uint64_t first = strtoull(text + n + 1, &end, 10), last = first;
        if (*end == '+')
            last = UINT64_MAX, end++;
        else if (*end == '-')
            last = strtoull(end + 1, &end, 10);
        if (!first || last < first || *end)
            break;
        faults[fault_count++] = (struct fault){known[i].error, known[i].operations, first, last};
        return;
    }
    errno = EINVAL;
    broken("WATCHLISTD_SHIM_FAIL");
}

__attribute__((constructor)) static void start(void)
{
    const char *folder = getenv("WATCHLISTD_SHIM_DIR"), *text;
    if (!folder)
        return;
    if (!realpath(folder, root))
        broken(folder);
    root_len = strlen(root);
    if ((text = getenv("WATCHLISTD_SHIM_JOURNAL")))
        journal = open_far(text, O_WRONLY | O_APPEND);
    if ((text = getenv("WATCHLISTD_SHIM_COUNT"))) {
        int fd = open_far(text, O_RDWR);
        if (syscall(SYS_ftruncate, fd, sizeof *counts))
            broken(text);
        counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (counts == MAP_FAILED)
            broken(text);
        syscall(SYS_close, fd);
    }
    if ((text = getenv("WATCHLISTD_SHIM_FAIL"))) {
        char *copy = strdup(text), *rest = copy, *one;
        while ((one = strsep(&rest, ",")))
            add_fault(one);
        free(copy);
    }
    stdout_acknowledges = getenv("WATCHLISTD_SHIM_STDOUT") != NULL;
    on = 1;
}

/* An operation and its record are one step, for the threads of a process (mutex) and for processes (flock): the journal has
 * the order in which things happened. */
static void enter(void)
{
    pthread_mutex_lock(&mutex);
    if (journal >= 0)
        syscall(SYS_flock, journal, LOCK_EX);
}

static long leave(long result)
{
    int error = errno;
    if (journal >= 0)
        syscall(SYS_flock, journal, LOCK_UN);
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}

/* Counts one operation. What must go wrong with it: 0, an errno, or SHORT_WRITE. */
static int fault(unsigned operation)
{
    uint64_t n = ++counts->operations;
    for (size_t i = 0; i < fault_count; i++) {
        const struct fault *f = &faults[i];
        if (!(f->operations & operation) || n < f->first || n > f->last)
            continue;
        counts->failures++;
        if (f->error == KILL)
            syscall(SYS_kill, getpid(), SIGKILL);
        return f->error;
    }
    return 0;
}

/* True, with errno, if the operation must fail. */
static int fails(unsigned operation)
{
    int error = fault(operation);
    if (error > 0)
        errno = error;
    return error > 0;
}

/* ---- the journal ---- */

/* One record: this, then the first name, the second name, the data. Little-endian on every machine we build for. */
struct record {
    uint32_t magic, kind;
    uint64_t inode, folder, folder2, offset;
    uint32_t name_len, name2_len;
    uint64_t data_len;
};

static void append(struct record r, const char *name, const char *name2, const void *data)
{
    if (journal < 0)
        return;
    r.magic = 0x314a4c57; /* "WLJ1" */
    r.name_len = name ? (uint32_t)strlen(name) : 0;
    r.name2_len = name2 ? (uint32_t)strlen(name2) : 0;
    struct iovec parts[] = {{&r, sizeof r},
                            {(void *)name, r.name_len},
                            {(void *)name2, r.name2_len},
                            {(void *)data, r.data_len}};
    ssize_t size = (ssize_t)(sizeof r + r.name_len + r.name2_len + r.data_len);
    if (syscall(SYS_writev, journal, parts, 4) != size)
        broken("the journal");
}

/* ---- what is watched ---- */

static int under_root(const char *path)
{
    return !strncmp(path, root, root_len) && (path[root_len] == '/' || !path[root_len]);
}

/* Where the fd points, as the kernel says; false if it says nothing. */
static int path_of(int fd, char path[PATH_MAX])
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n < 0 ? 0 : n] = 0;
    return n > 0;
}

enum what { OTHER, WATCHED, ACKS };

static enum what look(int fd)
{
    char path[PATH_MAX];
    struct stat st;
    int error = errno;
    enum what what = OTHER;
    if (on && !fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && path_of(fd, path) &&
        under_root(path))
        what = strcmp(strrchr(path, '/'), "/acks") ? WATCHED : ACKS;
    errno = error;
    return what;
}

/* A name in a folder. */
struct place { uint64_t folder; char name[NAME_MAX + 1]; };

/* True, with its place, if `path` names something inside the watched folder. */
static int place_of(int at, const char *path, struct place *place)
{
    char parent[PATH_MAX], real[PATH_MAX];
    struct stat st;
    int error = errno, inside = 0;
    size_t n = path ? strlen(path) : 0;
    if (!on || !n || n >= sizeof parent)
        return 0;
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t cut = n;
    while (cut && path[cut - 1] != '/')
        cut--;
    if (n - cut > NAME_MAX || n == cut)
        return 0;
    memcpy(place->name, path + cut, n - cut);
    place->name[n - cut] = 0;
    memcpy(parent, cut ? path : ".", cut ? cut : 1);
    parent[cut ? cut : 1] = 0;
    int fd = (int)syscall(SYS_openat, at, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        inside = path_of(fd, real) && under_root(real) && strcmp(place->name, "acks") && !fstat(fd, &st);
        place->folder = inside ? st.st_ino : 0;
        syscall(SYS_close, fd);
    }
    errno = error;
    return inside;
}

/* ---- opening ---- */

static long open_at(int at, const char *path, int flags, mode_t mode)
{
    struct place p;
    struct stat before, st;
    int changes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
    if (!changes || (flags & O_PATH) || !place_of(at, path, &p))
        return syscall(SYS_openat, at, path, flags, mode);
    enter();
    int error = errno, fresh = fstatat(at, path, &before, 0) != 0;
    errno = error;
    if (fails(fresh ? MAKE : OPEN))
        return leave(-1);
    long fd = syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && !fstat((int)fd, &st) && S_ISREG(st.st_mode)) {
        if (fresh)
            append((struct record){.kind = CREATE, .inode = st.st_ino, .folder = p.folder}, p.name, NULL, NULL);
        else if ((flags & O_TRUNC) && before.st_size)
            append((struct record){.kind = TRUNCATE, .inode = st.st_ino}, NULL, NULL, NULL);
    }
    return leave(fd);
}

/* The mode is there only with flags that make a file. */
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }
#define MAKES O_CREAT | O_WRONLY | O_TRUNC

int open(const char *path, int flags, ...) { MODE(flags) return (int)open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return (int)open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return (int)open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return (int)open_at(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return (int)open_at(AT_FDCWD, path, MAKES, mode); }
int creat64(const char *path, mode_t mode) { return (int)open_at(AT_FDCWD, path, MAKES, mode); }

/* ---- content ---- */

enum { HERE = -1 }; /* at the fd's own offset */

static ssize_t raw_write(int fd, const void *data, size_t size, off_t at)
{
    return at == HERE ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, at);
}

static ssize_t write_at(int fd, const void *data, size_t size, off_t at)
{
    if (at < HERE) {
        errno = EINVAL;
        return -1;
    }
    enum what what = on && fd == STDOUT_FILENO && stdout_acknowledges ? ACKS : look(fd);
    if (what == OTHER)
        return raw_write(fd, data, size, at);
    enter();
    struct record r = {.kind = what == ACKS ? ACK : WRITE};
    if (what == WATCHED) {
        int error = fault(FILL);
        if (error > 0) {
            errno = error;
            return leave(-1);
        }
        if (error == SHORT_WRITE && size > 1)
            size /= 2;
    }
    struct stat before = {0};
    fstat(fd, &before);
    ssize_t n = raw_write(fd, data, size, at);
    if (n > 0) {
        /* Appending ignores the offset, that of pwrite too. */
        int appends = fcntl(fd, F_GETFL) & O_APPEND;
        r.inode = before.st_ino;
        r.data_len = (uint64_t)n;
        if (what == WATCHED)
            r.offset = (uint64_t)(appends ? before.st_size : at == HERE ? lseek(fd, 0, SEEK_CUR) - n : at);
        append(r, NULL, NULL, data);
    }
    return leave(n);
}

/* Several pieces as one: the kernel, too, takes them as one write. */
static ssize_t write_pieces(int fd, const struct iovec *pieces, int count, off_t at)
{
    size_t size = 0, done = 0;
    if (look(fd) == OTHER && !(fd == STDOUT_FILENO && stdout_acknowledges))
        return at == HERE ? syscall(SYS_writev, fd, pieces, count) : syscall(SYS_pwritev, fd, pieces, count, at, 0);
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    char *all = malloc(size ? size : 1);
    if (!all)
        broken("memory");
    for (int i = 0; i < count; done += pieces[i++].iov_len)
        memcpy(all + done, pieces[i].iov_base, pieces[i].iov_len);
    ssize_t n = write_at(fd, all, size, at);
    free(all);
    return n;
}

ssize_t write(int fd, const void *data, size_t n) { return write_at(fd, data, n, HERE); }
ssize_t writev(int fd, const struct iovec *v, int n) { return write_pieces(fd, v, n, HERE); }

/* A caller's -1 is an error and not HERE. */
static off_t checked(off_t at) { return at < 0 ? HERE - 1 : at; }

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return write_at(fd, data, n, checked(at)); }
ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) { return write_at(fd, data, n, checked(at)); }
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) { return write_pieces(fd, v, n, checked(at)); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at) { return write_pieces(fd, v, n, checked(at)); }

static long resize(int fd, off_t size, int grows, off_t from, off_t len)
{
    struct stat st;
    enum what what = look(fd);
    if (what != WATCHED)
        return grows ? syscall(SYS_fallocate, fd, 0, from, len) : syscall(SYS_ftruncate, fd, size);
    enter();
    if (fails(RESIZE))
        return leave(-1);
    long result = grows ? syscall(SYS_fallocate, fd, 0, from, len) : syscall(SYS_ftruncate, fd, size);
    if (!result && !fstat(fd, &st))
        append((struct record){.kind = TRUNCATE, .inode = st.st_ino, .offset = (uint64_t)st.st_size}, NULL, NULL, NULL);
    return leave(result);
}

int ftruncate(int fd, off_t size) { return (int)resize(fd, size, 0, 0, 0); }
int ftruncate64(int fd, off_t size) { return (int)resize(fd, size, 0, 0, 0); }

/* Only the plain mode; of the others the programs watched here use none. */
int fallocate(int fd, int mode, off_t from, off_t len)
{
    if (!mode)
        return (int)resize(fd, 0, 1, from, len);
    if (look(fd) != WATCHED)
        return (int)syscall(SYS_fallocate, fd, mode, from, len);
    errno = EOPNOTSUPP;
    return -1;
}

int fallocate64(int fd, int mode, off_t from, off_t len) { return fallocate(fd, mode, from, len); }

int posix_fallocate(int fd, off_t from, off_t len)
{
    int error = errno, result = resize(fd, 0, 1, from, len) ? errno : 0;
    errno = error;
    return result;
}

int posix_fallocate64(int fd, off_t from, off_t len) { return posix_fallocate(fd, from, len); }

static int flush(int fd, long call)
{
    struct stat st;
    if (look(fd) != WATCHED)
        return (int)syscall(call, fd);
    enter();
    if (fails(FLUSH))
        return (int)leave(-1);
    long result = syscall(call, fd);
    if (!result && !fstat(fd, &st))
        append((struct record){.kind = SYNC, .inode = st.st_ino}, NULL, NULL, NULL);
    return (int)leave(result);
}

int fsync(int fd) { return flush(fd, SYS_fsync); }
int fdatasync(int fd) { return flush(fd, SYS_fdatasync); }

/* Copies inside the kernel: refused as an old kernel would, so that the program reads and writes. */
ssize_t copy_file_range(int from, off_t *at, int to, off_t *to_at, size_t n, unsigned flags)
{
    if (look(to) == OTHER)
        return syscall(SYS_copy_file_range, from, at, to, to_at, n, flags);
    errno = ENOSYS;
    return -1;
}

ssize_t sendfile(int to, int from, off_t *at, size_t n)
{
    if (look(to) == OTHER)
        return syscall(SYS_sendfile, to, from, at, n);
    errno = EINVAL;
    return -1;
}

ssize_t sendfile64(int to, int from, off_t *at, size_t n) { return sendfile(to, from, at, n); }

/* ---- names ---- */

static int rename_at(int at, const char *path, int at2, const char *path2, unsigned flags)
{
    struct place p, p2;
    int inside = place_of(at, path, &p), inside2 = place_of(at2, path2, &p2);
    if (!inside && !inside2)
        return (int)syscall(SYS_renameat2, at, path, at2, path2, flags);
    /* From elsewhere the journal would not know the content; programs copy when told that the device is another. */
    if (inside != inside2 || (flags & ~(unsigned)RENAME_NOREPLACE)) {
        errno = inside != inside2 ? EXDEV : EINVAL;
        return -1;
    }
    enter();
    if (fails(NAME))
        return (int)leave(-1);
    long result = syscall(SYS_renameat2, at, path, at2, path2, flags);
    if (!result)
        append((struct record){.kind = RENAME, .folder = p.folder, .folder2 = p2.folder}, p.name, p2.name, NULL);
    return (int)leave(result);
}

int rename(const char *a, const char *b) { return rename_at(AT_FDCWD, a, AT_FDCWD, b, 0); }
int renameat(int at, const char *a, int at2, const char *b) { return rename_at(at, a, at2, b, 0); }
int renameat2(int at, const char *a, int at2, const char *b, unsigned f) { return rename_at(at, a, at2, b, f); }

int linkat(int at, const char *path, int at2, const char *path2, int flags)
{
    struct place p;
    struct stat st;
    if (!place_of(at2, path2, &p))
        return (int)syscall(SYS_linkat, at, path, at2, path2, flags);
    enter();
    if (fails(NAME))
        return (int)leave(-1);
    long result = syscall(SYS_linkat, at, path, at2, path2, flags);
    if (!result && !fstatat(at2, path2, &st, AT_SYMLINK_NOFOLLOW))
        append((struct record){.kind = LINK, .inode = st.st_ino, .folder = p.folder}, p.name, NULL, NULL);
    return (int)leave(result);
}

int link(const char *path, const char *path2) { return linkat(AT_FDCWD, path, AT_FDCWD, path2, 0); }

int unlinkat(int at, const char *path, int flags)
{
    struct place p;
    if (!place_of(at, path, &p))
        return (int)syscall(SYS_unlinkat, at, path, flags);
    enter();
    if (fails(REMOVE))
        return (int)leave(-1);
    long result = syscall(SYS_unlinkat, at, path, flags);
    if (!result)
        append((struct record){.kind = UNLINK, .folder = p.folder}, p.name, NULL, NULL);
    return (int)leave(result);
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
/* libc's own remove() calls its own unlink. */
int remove(const char *path)
{
    int result = unlinkat(AT_FDCWD, path, 0);
    return result && errno == EISDIR ? rmdir(path) : result;
}

int mkdirat(int at, const char *path, mode_t mode)
{
    struct place p;
    struct stat st;
    if (!place_of(at, path, &p))
        return (int)syscall(SYS_mkdirat, at, path, mode);
    enter();
    if (fails(NAME))
        return (int)leave(-1);
    long result = syscall(SYS_mkdirat, at, path, mode);
    if (!result && !fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW))
        append((struct record){.kind = MKDIR, .inode = st.st_ino, .folder = p.folder}, p.name, NULL, NULL);
    return (int)leave(result);
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
