/* Makes the n-th write below a folder fail, in this process and in those that it starts.

   FAULTS_BELOW   the folder; FAULTS_COUNTER   a file of sizeof(struct shared) bytes, outside of it
   FAULTS_AT      the number of the write that fails, from 1; 0 counts only
   FAULTS_ERRNO   what it fails with; FAULTS_ONCE   1: that one alone, else it and all that follow, as on a full disk

   A write is whatever may need room: data, a new file or folder, a name, and the moment when data must be on the
   disk. stdio's own calls do not pass through here, so fwrite and fclose are taken themselves. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

struct shared {
    unsigned long writes, failed;
    char what[4096]; /* the first that failed */
};

static struct shared *shared;
static char below[PATH_MAX];
static size_t length;
static unsigned long at;
static int number, once;

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("FAULTS_BELOW"), *counter = getenv("FAULTS_COUNTER");
    if (!folder || !counter) return;
    int handle = (int)(open)(counter, O_RDWR);
    if (handle < 0) return;
    void *found = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
    close(handle);
    if (found == MAP_FAILED) return;
    length = (size_t)snprintf(below, sizeof below, "%s/", folder);
    at = strtoul(getenv("FAULTS_AT"), NULL, 10);
    number = atoi(getenv("FAULTS_ERRNO"));
    once = atoi(getenv("FAULTS_ONCE"));
    shared = found;
}

/* Whether this write fails. */
static int fails(const char *call, const char *path) {
    if (strncmp(path, below, length) != 0) return 0;
    unsigned long mine = __atomic_add_fetch(&shared->writes, 1, __ATOMIC_SEQ_CST);
    /* Once the disk is full, a new name finds the place of the one that was given up for it. */
    int spared = once || strncmp(call, "rename", 6) == 0;
    if (at == 0 || mine < at || (spared && mine > at)) return 0;
    if (__atomic_fetch_add(&shared->failed, 1, __ATOMIC_SEQ_CST) == 0)
        snprintf(shared->what, sizeof shared->what, "%s %s", call, path + length);
    errno = number;
    return 1;
}

static int fails_handle(const char *call, int handle) {
    if (!shared || handle < 0) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    int kept = errno;
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (size < 0) return 0;
    path[size] = 0;
    return fails(call, path);
}

/* The absolute path of a name that is relative to a folder's handle; 0 where it cannot be told. */
static int absolute(int folder, const char *name, char *path) {
    if (!shared || !name) return 0;
    if (name[0] == '/') return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
    char base[PATH_MAX], link[64];
    int kept = errno;
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, base, sizeof base - 1);
        if (size < 0) return errno = kept, 0;
        base[size] = 0;
    }
    errno = kept;
    return snprintf(path, PATH_MAX, "%s/%s", base, name) < PATH_MAX;
}

static int fails_name(const char *call, int folder, const char *name) {
    char path[PATH_MAX];
    return absolute(folder, name, path) && fails(call, path);
}

/* A file that is there can be opened on a full disk too. */
static int fails_new(const char *call, int folder, const char *name) {
    struct stat known;
    int kept = errno, there = name && fstatat(folder, name, &known, 0) == 0;
    errno = kept;
    return !there && fails_name(call, folder, name);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define OF_HANDLE(type, name, handle, declared, passed) \
    type name declared { REAL(name); return fails_handle(#name, handle) ? (type)-1 : real passed; }

OF_HANDLE(ssize_t, write, f, (int f, const void *b, size_t n), (f, b, n))
OF_HANDLE(ssize_t, pwrite, f, (int f, const void *b, size_t n, off_t o), (f, b, n, o))
OF_HANDLE(ssize_t, pwrite64, f, (int f, const void *b, size_t n, off64_t o), (f, b, n, o))
OF_HANDLE(ssize_t, writev, f, (int f, const struct iovec *v, int n), (f, v, n))
OF_HANDLE(ssize_t, pwritev, f, (int f, const struct iovec *v, int n, off_t o), (f, v, n, o))
OF_HANDLE(ssize_t, sendfile, f, (int f, int from, off_t *o, size_t n), (f, from, o, n))
OF_HANDLE(ssize_t, sendfile64, f, (int f, int from, off64_t *o, size_t n), (f, from, o, n))
OF_HANDLE(ssize_t, copy_file_range, f, (int from, off64_t *a, int f, off64_t *b, size_t n, unsigned k),
          (from, a, f, b, n, k))
OF_HANDLE(int, fsync, f, (int f), (f))
OF_HANDLE(int, fdatasync, f, (int f), (f))
OF_HANDLE(int, ftruncate, f, (int f, off_t n), (f, n))
OF_HANDLE(int, ftruncate64, f, (int f, off64_t n), (f, n))
OF_HANDLE(int, fallocate, f, (int f, int k, off_t o, off_t n), (f, k, o, n))

#define OPENS(name, folder, declared, passed) \
    int name declared { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
        } \
        return (flags & O_CREAT) && fails_new(#name, folder, path) ? -1 : real passed; \
    }
OPENS(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPENS(openat64, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

#define OF_NAME(name, folder, path, declared, passed) \
    int name declared { REAL(name); return fails_name(#name, folder, path) ? -1 : real passed; }
OF_NAME(rename, AT_FDCWD, b, (const char *a, const char *b), (a, b))
OF_NAME(renameat, t, b, (int f, const char *a, int t, const char *b), (f, a, t, b))
OF_NAME(renameat2, t, b, (int f, const char *a, int t, const char *b, unsigned k), (f, a, t, b, k))
OF_NAME(link, AT_FDCWD, b, (const char *a, const char *b), (a, b))
OF_NAME(symlink, AT_FDCWD, b, (const char *a, const char *b), (a, b))
#define MAKES(name, folder, declared, passed) \
    int name declared { REAL(name); return fails_new(#name, folder, path) ? -1 : real passed; }
MAKES(mkdir, AT_FDCWD, (const char *path, mode_t mode), (path, mode))
MAKES(mkdirat, folder, (int folder, const char *path, mode_t mode), (folder, path, mode))

#define STREAMS(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        return mode[0] != 'r' && fails_new(#name, AT_FDCWD, path) ? NULL : real(path, mode); \
    }
STREAMS(fopen)
STREAMS(fopen64)
size_t fwrite(const void *data, size_t size, size_t count, FILE *stream) {
    REAL(fwrite);
    return fails_handle("fwrite", fileno(stream)) ? 0 : real(data, size, count, stream);
}
int fclose(FILE *stream) {
    REAL(fclose);
    int readable = (fcntl(fileno(stream), F_GETFL) & O_ACCMODE) == O_RDONLY;
    int failed = !readable && fails_handle("fclose", fileno(stream));
    int result = real(stream);
    if (failed) errno = number;
    return failed ? EOF : result;
}

/* A disk that has just been found full says so when it is asked. */
#define ASKED(name, kind) \
    int name(const char *path, struct kind *told) { \
        REAL(name); \
        int result = real(path, told); \
        if (result == 0 && shared && shared->failed && number == ENOSPC && !once) told->f_bavail = told->f_bfree = 0; \
        return result; \
    }
ASKED(statvfs, statvfs)
ASKED(statvfs64, statvfs64)
