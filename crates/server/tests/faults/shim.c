/*
 * A disk that fails as it is told to, preloaded into the program that is tested.
 *
 * It stands between the program and the C library for what concerns the folder FAULTS_FOLDER, keeps for each file there what the
 * disk would have if the power went now, and sees to it that this is all that is left when it goes. It changes nothing else.
 *
 *   FAULTS_FOLDER   an absolute path; what is below it is on the disk that fails
 *   FAULTS_POWER    the number of the operation at which the power goes (exit status 86); 0 or unset: never
 *   FAULTS_SEED     what is random is random by this
 *   FAULTS_FAIL     "N ERRNO once" or "N ERRNO on": the N-th operation fails; "on": so does each after it, until the switch says "off"
 *   FAULTS_SWITCH   a file of 64 bytes, zeros behind its text: "OPERATION ERRNO" makes every such operation fail, another
 *                   pair behind it others as well; "off" lets all through. Operations: write, sync, folder, create, unlink, rename, truncate, room (create and write), any
 *   FAULTS_LOST     a file: what a failed sync left off the disk is noted there, for the next process that is given it
 *   FAULTS_CLOCK    a file of 8 bytes: by how many seconds the wall clock is wrong
 *
 * Syncs are not handed on to the kernel: what this disk has is only decided here. What it does when the power goes:
 *   - of what was written since the last sync of the file, each sector of 512 bytes is as before, or as written, or, where the
 *     file did not reach before, garbage; a sector is written whole or not at all, as disks promise;
 *   - the length is as before, or as it is now;
 *   - of what was created, renamed and removed since the last sync of the folder, the newest part has not happened;
 *   - after a sync that failed the pages are taken for clean, as Linux does: a later sync does not bring them to the disk.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512
#define FDS_MAX 4096
#define POWER_STATUS 86

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static size_t folder_length;
static long power_at, fail_at;
static int fail_errno, fail_goes_on;
static const char *fault_switch, *lost_path;
static const int64_t *clock_offset;
static uint64_t state;
static long operations;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* ---- what is random ---- */

static uint64_t drawn(void) {
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t bound) { return bound ? drawn() % bound : 0; }

/* ---- what the disk has ---- */

/* A file, by what the disk has of it. Never freed: a run is short. */
struct file {
    dev_t device;
    ino_t inode;
    int is_gone;
    unsigned char *durable;
    size_t size;     /* on the disk */
    size_t capacity; /* of `durable` and, in sectors, of `dirty` */
    unsigned char *dirty;
    struct file *next;
};

/* A sector that a failed sync left as it was on the disk, while whoever reads the file finds it as it was written. */
struct lost_sector {
    char path[512];
    size_t size, sector;
    unsigned char durable[SECTOR];
};

enum change { CREATED, RENAMED, UNLINKED, MADE };

/* Something that happened to a name and that no sync of its folder has made last. */
struct name_change {
    enum change what;
    char *path, *to;
    struct file *file, *replaced;
    int chain;
};

struct open_file {
    struct file *file; /* or none: */
    char *folder;      /* the path, if it is a folder */
};

static struct file *files;
static struct open_file fds[FDS_MAX];
static struct name_change changes[65536];
static size_t changes_count;

static int is_ours(const char *path) {
    return folder && path && strncmp(path, folder, folder_length) == 0 && (path[folder_length] == '/' || !path[folder_length]);
}

static void hold(struct file *file, size_t size) {
    if (size <= file->capacity) return;
    size_t capacity = (size + 65535) / 65536 * 65536 * 2;
    file->durable = realloc(file->durable, capacity);
    file->dirty = realloc(file->dirty, capacity / SECTOR);
    if (!file->durable || !file->dirty) abort();
    memset(file->durable + file->capacity, 0, capacity - file->capacity);
    memset(file->dirty + file->capacity / SECTOR, 0, (capacity - file->capacity) / SECTOR);
    file->capacity = capacity;
}

static void path_of(int fd, char path[512]) {
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(own, path, 511);
    path[length > 0 ? length : 0] = 0;
}

/* What an earlier process could not bring to the disk is not there. */
static void lose_again(struct file *file, int fd) {
    struct lost_sector lost;
    char path[512];
    int list = lost_path ? REAL(open)(lost_path, O_RDONLY | O_CLOEXEC) : -1;
    path_of(fd, path);
    while (list >= 0 && read(list, &lost, sizeof lost) == sizeof lost) {
        if (strcmp(path, lost.path) != 0) continue;
        hold(file, (lost.sector + 1) * SECTOR);
        memcpy(file->durable + lost.sector * SECTOR, lost.durable, SECTOR);
        if (lost.size < file->size) file->size = lost.size;
    }
    if (list >= 0) REAL(close)(list);
}

static struct file *file_of(int fd, int is_new) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return NULL;
    for (struct file *file = files; file && !is_new; file = file->next)
        if (file->inode == status.st_ino && file->device == status.st_dev && !file->is_gone) return file;
    struct file *file = calloc(1, sizeof *file);
    if (!file) abort();
    file->device = status.st_dev;
    file->inode = status.st_ino;
    file->next = files;
    files = file;
    /* What an earlier process left is on the disk. */
    file->size = is_new ? 0 : (size_t)status.st_size;
    hold(file, file->size);
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    int reading = REAL(open)(own, O_RDONLY | O_CLOEXEC);
    if (reading >= 0 && file->size && pread(reading, file->durable, file->size, 0) < 0) abort();
    if (reading >= 0) REAL(close)(reading);
    if (!is_new) lose_again(file, fd);
    return file;
}

static void touch(struct file *file, size_t from, size_t to) {
    hold(file, to);
    for (size_t sector = from / SECTOR; sector * SECTOR < to; sector++) file->dirty[sector] = 1;
}

static void synced(struct file *file, int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0) return;
    size_t size = (size_t)status.st_size;
    hold(file, size);
    for (size_t sector = 0; sector < file->capacity / SECTOR; sector++) {
        if (!file->dirty[sector]) continue;
        file->dirty[sector] = 0;
        memset(file->durable + sector * SECTOR, 0, SECTOR);
        size_t left = size > sector * SECTOR ? size - sector * SECTOR : 0;
        if (left && pread(fd, file->durable + sector * SECTOR, left < SECTOR ? left : SECTOR, (off_t)(sector * SECTOR)) < 0) abort();
    }
    file->size = size;
}

static void not_synced(struct file *file, int fd) {
    int list = lost_path ? REAL(open)(lost_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    for (size_t sector = 0; sector < file->capacity / SECTOR; sector++) {
        if (!file->dirty[sector]) continue;
        file->dirty[sector] = 0;
        struct lost_sector lost = {.size = file->size, .sector = sector};
        memcpy(lost.durable, file->durable + sector * SECTOR, SECTOR);
        path_of(fd, lost.path);
        if (list >= 0 && REAL(write)(list, &lost, sizeof lost) != sizeof lost) abort();
    }
    if (list >= 0) REAL(close)(list);
}

static void changed(enum change what, const char *path, const char *to, struct file *file, struct file *replaced) {
    static int chains;
    if (changes_count == sizeof changes / sizeof *changes) abort();
    struct name_change *change = &changes[changes_count++];
    *change = (struct name_change){what, strdup(path), to ? strdup(to) : NULL, file, replaced, 0};
    for (size_t i = 0; i + 1 < changes_count; i++) {
        struct name_change *other = &changes[i];
        if (strcmp(other->path, path) == 0 || (other->to && strcmp(other->to, path) == 0)) change->chain = other->chain;
    }
    if (!change->chain) change->chain = ++chains;
}

static void folder_synced(const char *path) {
    size_t kept = 0, length = strlen(path);
    for (size_t i = 0; i < changes_count; i++) {
        const char *name = strrchr(changes[i].path, '/');
        if ((size_t)(name - changes[i].path) != length || strncmp(changes[i].path, path, length) != 0) changes[kept++] = changes[i];
    }
    changes_count = kept;
}

/* ---- the power goes ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static void write_back(struct file *file, int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0) return;
    size_t now = (size_t)status.st_size, size = below(2) ? now : file->size;
    hold(file, now);
    unsigned char sector[SECTOR];
    int likes_written = (int)below(3);
    for (size_t number = 0; number * SECTOR < size; number++) {
        size_t at = number * SECTOR, length = size - at < SECTOR ? size - at : SECTOR;
        memset(sector, 0, SECTOR);
        if (at < now && pread(fd, sector, length, (off_t)at) < 0) abort();
        int is_dirty = file->dirty[number];
        uint64_t fate = below(16);
        if (!is_dirty || fate < (likes_written == 0 ? 12u : likes_written == 1 ? 6u : 1u)) memcpy(sector, file->durable + at, SECTOR);
        else if (fate == 15) for (size_t i = 0; i < length; i++) if (at + i >= file->size) sector[i] = (unsigned char)drawn();
        if (pwrite(fd, sector, length, (off_t)at) < 0) abort();
    }
    if (REAL(ftruncate)(fd, (off_t)size) != 0) abort();
}

static void restore(const char *path, struct file *file) {
    int fd = REAL(open)(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return;
    if (file && file->size && REAL(pwrite)(fd, file->durable, file->size, 0) < 0) abort();
    REAL(close)(fd);
}

static void undo(struct name_change *change) {
    switch (change->what) {
    case CREATED: REAL(unlink)(change->path); break;
    case MADE: nftw(change->path, remove_one, 16, FTW_DEPTH | FTW_PHYS); break;
    case UNLINKED: restore(change->path, change->file); break;
    case RENAMED:
        REAL(rename)(change->to, change->path);
        if (change->replaced) restore(change->to, change->replaced);
        break;
    }
}

static int write_back_at(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)where;
    for (struct file *file = files; kind == FTW_F && file; file = file->next) {
        if (file->inode != status->st_ino || file->device != status->st_dev || file->is_gone) continue;
        int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0) write_back(file, fd);
        if (fd >= 0) REAL(close)(fd);
    }
    return 0;
}

static void lose_power(void) {
    /* Other threads stand still at their next operation, as the lock is never given back. */
    nftw(folder, write_back_at, 16, FTW_PHYS);
    /* Of each chain of changes the newest ones, from a random one on, have not happened. */
    int chains = 0, gone[65536];
    for (size_t i = changes_count; i-- > 0;) {
        int chain = changes[i].chain, known = -1;
        for (int k = 0; k < chains; k++) if (gone[k] / 2 == chain) known = k;
        if (known < 0) { known = chains++; gone[known] = chain * 2 + (int)below(2); }
        else if (gone[known] % 2 && below(3) == 0) gone[known] = chain * 2;
        if (gone[known] % 2) undo(&changes[i]);
    }
    _exit(POWER_STATUS);
}

/* ---- what fails ---- */

static int number_of(const char *name) {
    return strcmp(name, "EIO") == 0 ? EIO : strcmp(name, "ENOSPC") == 0 ? ENOSPC : strcmp(name, "EROFS") == 0 ? EROFS : EINVAL;
}

/* Counts an operation; returns the error that it fails with, or 0. */
static int fault(const char *operation) {
    char what[2][33] = {"", ""}, name[2][33] = {"", ""}, text[65] = "";
    operations++;
    if (fault_switch) memcpy(text, fault_switch, 64);
    sscanf(text, "%32s %32s %32s %32s", what[0], name[0], what[1], name[1]);
    if (strcmp(what[0], "off") == 0) fail_goes_on = 0;
    int is_room = strcmp(operation, "write") == 0 || strcmp(operation, "create") == 0;
    for (int i = 0; i < 2; i++)
        if (strcmp(what[i], operation) == 0 || strcmp(what[i], "any") == 0 || (strcmp(what[i], "room") == 0 && is_room))
            return number_of(name[i]);
    /* What gives room back needs none. */
    if (fail_errno == ENOSPC && (strcmp(operation, "truncate") == 0 || strcmp(operation, "unlink") == 0)) return 0;
    if (fail_at && (operations == fail_at || (operations > fail_at && fail_goes_on))) return fail_errno;
    return 0;
}

/* To be called when an operation is done, or instead of it for a sync. */
static void powered(void) {
    if (power_at && operations >= power_at) lose_power();
}

static const void *mapped(const char *variable, size_t length) {
    const char *path = getenv(variable);
    int fd = path ? REAL(open)(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return NULL;
    const void *map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
    REAL(close)(fd);
    return map == MAP_FAILED ? NULL : map;
}

__attribute__((constructor)) static void begin(void) {
    const char *text;
    char name[33] = "", goes_on[33] = "";
    if ((text = getenv("FAULTS_POWER"))) power_at = atol(text);
    if ((text = getenv("FAULTS_SEED"))) state = strtoull(text, NULL, 10);
    if ((text = getenv("FAULTS_FAIL")) && sscanf(text, "%ld %32s %32s", &fail_at, name, goes_on) == 3) {
        fail_errno = number_of(name);
        fail_goes_on = strcmp(goes_on, "on") == 0;
    }
    lost_path = getenv("FAULTS_LOST");
    fault_switch = mapped("FAULTS_SWITCH", 64);
    clock_offset = mapped("FAULTS_CLOCK", sizeof *clock_offset);
    if ((folder = getenv("FAULTS_FOLDER"))) folder_length = strlen(folder);
}

/* ---- the C library's calls ---- */

#define LOCKED pthread_mutex_lock(&lock)
#define UNLOCKED pthread_mutex_unlock(&lock)

/* Ends a call that holds the lock, with what the real one gave. */
static int finished(int result) {
    int saved = errno;
    UNLOCKED;
    errno = saved;
    return result;
}

/* Fails a call that holds the lock. */
static int failed(int error) {
    UNLOCKED;
    errno = error;
    return -1;
}

static int opened(const char *path, int flags, mode_t mode) {
    if (!is_ours(path)) return REAL(open)(path, flags, mode);
    LOCKED;
    int is_new = (flags & O_CREAT) && access(path, F_OK) != 0, error = is_new ? fault("create") : 0;
    if (error) return failed(error);
    int fd = REAL(open)(path, flags, mode);
    if (fd >= FDS_MAX) abort();
    if (fd >= 0) {
        int is_writing = (flags & O_ACCMODE) != O_RDONLY;
        struct stat status;
        free(fds[fd].folder);
        fds[fd] = (struct open_file){is_writing || is_new ? file_of(fd, is_new) : NULL, NULL};
        if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) fds[fd].folder = strdup(path);
        if (is_new) {
            changed(CREATED, path, NULL, fds[fd].file, NULL);
            powered();
        }
    }
    UNLOCKED;
    return fd;
}

#define MODE_OF(flags)                        \
    mode_t mode = 0;                          \
    if ((flags) & (O_CREAT | O_TMPFILE)) {    \
        va_list rest;                         \
        va_start(rest, flags);                \
        mode = (mode_t)va_arg(rest, int);     \
        va_end(rest);                         \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(path, flags | O_LARGEFILE, mode);
}

int close(int fd) {
    if (folder && fd >= 0 && fd < FDS_MAX) {
        LOCKED;
        free(fds[fd].folder);
        fds[fd] = (struct open_file){NULL, NULL};
        UNLOCKED;
    }
    return REAL(close)(fd);
}

static struct file *written_to(int fd) { return folder && fd >= 0 && fd < FDS_MAX ? fds[fd].file : NULL; }

static ssize_t written(int fd, const void *bytes, size_t count, off_t at, int moves) {
    struct file *file = written_to(fd);
    if (!file) return moves ? REAL(write)(fd, bytes, count) : REAL(pwrite)(fd, bytes, count, at);
    LOCKED;
    if (moves) at = lseek(fd, 0, SEEK_CUR);
    int error = fault("write");
    /* A write that fails may have done a part. */
    size_t part = error ? below(2) * below(count) : count;
    touch(file, (size_t)at, (size_t)at + part);
    ssize_t done = part || !error ? REAL(pwrite)(fd, bytes, part, at) : 0;
    if (done > 0 && moves) lseek(fd, done, SEEK_CUR);
    powered();
    if (error) return failed(error);
    UNLOCKED;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t count) { return written(fd, bytes, count, 0, 1); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return written(fd, bytes, count, at, 0); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) { return written(fd, bytes, count, at, 0); }

int ftruncate(int fd, off_t size) {
    struct file *file = written_to(fd);
    if (!file) return REAL(ftruncate)(fd, size);
    LOCKED;
    int error = fault("truncate");
    if (error) return failed(error);
    struct stat status;
    if (fstat(fd, &status) == 0) {
        size_t now = (size_t)status.st_size, then = (size_t)size;
        touch(file, now < then ? now : then, now < then ? then : now);
    }
    int result = REAL(ftruncate)(fd, size);
    powered();
    UNLOCKED;
    return result;
}

int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

static int sync_of(int fd, int (*real)(int)) {
    struct file *file = written_to(fd);
    const char *path = folder && fd >= 0 && fd < FDS_MAX ? fds[fd].folder : NULL;
    if (!file && !path) return real(fd);
    LOCKED;
    int error = fault(path ? "folder" : "sync");
    powered();
    if (error && file) not_synced(file, fd);
    if (error) return failed(error);
    if (path) folder_synced(path);
    else synced(file, fd);
    UNLOCKED;
    return 0;
}

int fsync(int fd) { return sync_of(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_of(fd, REAL(fdatasync)); }

/* The file at a path, which is about to lose that name. */
static struct file *file_at(const char *path) {
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    struct file *file = file_of(fd, 0);
    REAL(close)(fd);
    return file;
}

int unlink(const char *path) {
    if (!is_ours(path)) return REAL(unlink)(path);
    LOCKED;
    struct file *file = file_at(path);
    int error = file ? fault("unlink") : 0;
    if (error) return failed(error);
    int result = REAL(unlink)(path);
    if (result == 0 && file) {
        file->is_gone = 1;
        changed(UNLINKED, path, NULL, file, NULL);
        powered();
    }
    return finished(result);
}

int rename(const char *path, const char *to) {
    if (!is_ours(path)) return REAL(rename)(path, to);
    LOCKED;
    int error = fault("rename");
    if (error) return failed(error);
    struct file *file = file_at(path), *replaced = file_at(to);
    int result = REAL(rename)(path, to);
    if (result == 0) {
        if (replaced) replaced->is_gone = 1;
        changed(RENAMED, path, to, file, replaced);
        powered();
    }
    return finished(result);
}

int mkdir(const char *path, mode_t mode) {
    if (!is_ours(path)) return REAL(mkdir)(path, mode);
    LOCKED;
    int error = access(path, F_OK) ? fault("create") : 0;
    if (error) return failed(error);
    int result = REAL(mkdir)(path, mode);
    if (result == 0) {
        changed(MADE, path, NULL, NULL, NULL);
        powered();
    }
    return finished(result);
}

/* ---- the wall clock ---- */

int clock_gettime(clockid_t clock, struct timespec *time) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = REAL(clock_gettime);
    int result = real(clock, time);
    if (result == 0 && clock_offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *clock_offset;
    return result;
}

int gettimeofday(struct timeval *time, void *zone) {
    int result = REAL(gettimeofday)(time, zone);
    if (result == 0 && clock_offset) time->tv_sec += *clock_offset;
    return result;
}
