/* libssh. Prints `PASS name` or `FAIL name: why` for each check. */
#include <fcntl.h>
#include <libssh/libssh.h>
#include <libssh/sftp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define OR(condition, ...) do { if (!(condition)) { snprintf(why, sizeof why, __VA_ARGS__); return 0; } } while (0)
#define MAX (16 << 20)

static char why[512];
static ssh_session ssh;
static sftp_session sftp;
static const char *at(const char *name);

static void check(const char *name, int passed) {
    if (passed) printf("PASS %s\n", name);
    else printf("FAIL %s: %s\n", name, why);
    fflush(stdout);
}

/* A path below a directory of the environment; four at once are good. */
static const char *below(const char *variable, const char *name) {
    static char paths[4][4096];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s%s%s", getenv(variable), *name ? "/" : "", name);
    return path;
}

static const char *at(const char *name) { return below("SFTP_REMOTE", name); }

static size_t contents(const char *name, char *bytes) {
    FILE *file = fopen(below("SFTP_LOCAL", name), "rb");
    size_t got = file ? fread(bytes, 1, MAX, file) : 0;
    if (file) fclose(file);
    return got;
}

static int leave(void) {
    if (sftp) sftp_free(sftp);
    if (ssh) { ssh_disconnect(ssh); ssh_free(ssh); }
    sftp = NULL, ssh = NULL;
    return 1;
}

static int enter(int by_key) {
    unsigned port = atoi(getenv("SFTP_PORT"));
    ssh_key key = NULL;
    ssh = ssh_new();
    ssh_options_set(ssh, SSH_OPTIONS_HOST, getenv("SFTP_HOST"));
    ssh_options_set(ssh, SSH_OPTIONS_PORT, &port);
    ssh_options_set(ssh, SSH_OPTIONS_USER, getenv("SFTP_USER"));
    ssh_options_set(ssh, SSH_OPTIONS_KNOWNHOSTS, getenv("SFTP_KNOWN_HOSTS"));
    OR(ssh_connect(ssh) == SSH_OK, "no connection: %s", ssh_get_error(ssh));
    OR(ssh_session_is_known_server(ssh) == SSH_KNOWN_HOSTS_OK, "an unknown host key");
    if (by_key) {
        OR(ssh_pki_import_privkey_file(getenv("SFTP_KEY"), NULL, NULL, NULL, &key) == SSH_OK, "the key cannot be read");
        OR(ssh_userauth_publickey(ssh, NULL, key) == SSH_AUTH_SUCCESS, "refused: %s", ssh_get_error(ssh));
        ssh_key_free(key);
    } else {
        OR(ssh_userauth_password(ssh, NULL, getenv("SFTP_PASSWORD")) == SSH_AUTH_SUCCESS, "refused: %s", ssh_get_error(ssh));
    }
    sftp = sftp_new(ssh);
    OR(sftp && sftp_init(sftp) == SSH_OK, "no sftp: %s", ssh_get_error(ssh));
    return 1;
}

static int exists(const char *path) {
    sftp_attributes found = sftp_stat(sftp, path);
    if (found) sftp_attributes_free(found);
    return found != NULL;
}

static int put(const char *path, const char *bytes, size_t size, int flags) {
    sftp_file file = sftp_open(sftp, path, O_WRONLY | flags, 0644);
    OR(file, "%s cannot be opened: %d", path, sftp_get_error(sftp));
    if (!(flags & (O_TRUNC | O_APPEND))) {
        sftp_attributes now = sftp_fstat(file);
        OR(now && sftp_seek64(file, now->size) == 0, "no end of %s", path);
        bytes += now->size, size -= now->size;
        sftp_attributes_free(now);
    }
    for (size_t done = 0; done < size;) {
        ssize_t written = sftp_write(file, bytes + done, size - done < 32000 ? size - done : 32000);
        OR(written > 0, "%s cannot be written: %d", path, sftp_get_error(sftp));
        done += written;
    }
    OR(sftp_close(file) == SSH_OK, "close failed: %d", sftp_get_error(sftp));
    return 1;
}

static int holds(const char *path, const char *bytes, size_t size) {
    static char got[MAX];
    size_t done = 0;
    ssize_t read;
    sftp_file file = sftp_open(sftp, path, O_RDONLY, 0);
    OR(file, "%s cannot be opened: %d", path, sftp_get_error(sftp));
    while ((read = sftp_read(file, got + done, 100000)) > 0) done += read;
    OR(read == 0, "%s cannot be read: %d", path, sftp_get_error(sftp));
    sftp_close(file);
    OR(done == size && memcmp(got, bytes, size) == 0, "%s has %zu other bytes", path, done);
    return 1;
}

/* Names below a directory, each in spaces; deeper ones by their paths when deep. */
static int listed(const char *directory, const char *shown, int deep, char *names) {
    char inner[4096], name[4096];
    sftp_attributes entry;
    sftp_dir open = sftp_opendir(sftp, directory);
    OR(open, "%s cannot be listed: %d", directory, sftp_get_error(sftp));
    while ((entry = sftp_readdir(sftp, open))) {
        if (strcmp(entry->name, ".") && strcmp(entry->name, "..")) {
            snprintf(name, sizeof name, "%s%s", shown, entry->name);
            strcat(strcat(strcat(names, " "), name), " ");
            if (deep && entry->type == SSH_FILEXFER_TYPE_DIRECTORY) {
                snprintf(inner, sizeof inner, "%s/%s", directory, entry->name);
                strcat(name, "/");
                if (!listed(inner, name, deep, names)) return 0;
            }
        }
        sftp_attributes_free(entry);
    }
    OR(sftp_dir_eof(open), "the listing of %s broke off", directory);
    sftp_closedir(open);
    return 1;
}

static int names_of(const char *directory, int deep, int count, ...) {
    char names[65536] = "", wanted[4096];
    int ok = listed(directory, "", deep, names), found = 0;
    va_list list;
    if (!ok) return 0;
    va_start(list, count);
    for (int index = 0; index < count; index++) {
        snprintf(wanted, sizeof wanted, " %s ", va_arg(list, const char *));
        ok = ok && strstr(names, wanted);
    }
    va_end(list);
    for (char *space = names; (space = strchr(space, ' ')); space++) found++;
    OR(ok && (deep || found == 2 * count), "%.400s is listed", names);
    return 1;
}

static int stats(const char *path, int type, uint64_t size) {
    sftp_attributes found = sftp_stat(sftp, path);
    OR(found, "no attributes: %d", sftp_get_error(sftp));
    OR(found->type == type, "another type: %d", found->type);
    OR(type != SSH_FILEXFER_TYPE_REGULAR || found->size == size, "another size: %lu", (unsigned long)found->size);
    OR(found->flags & SSH_FILEXFER_ATTR_SIZE, "no size");
    OR(found->permissions & 0700, "no permissions");
    OR(found->flags & SSH_FILEXFER_ATTR_ACMODTIME && found->mtime >= 946684800, "a time before 2000: %u", found->mtime);
    sftp_attributes_free(found);
    return 1;
}

static int makes_nested(void) {
    const char *names[] = {"a", "a/b", "a/b/c"};
    for (int index = 0; index < 3; index++)
        OR(sftp_mkdir(sftp, at(names[index]), 0755) == SSH_OK, "%s: %d", names[index], sftp_get_error(sftp));
    return names_of(at("a/b"), 0, 1, "c");
}

static int renames(const char *from, const char *to) {
    OR(sftp_rename(sftp, at(from), at(to)) == SSH_OK, "%s: %d", from, sftp_get_error(sftp));
    OR(!exists(at(from)) && exists(at(to)), "not renamed");
    return 1;
}

static int sets_time(const char *path) {
    struct timeval times[2] = {{1577836800, 0}, {1577836800, 0}};
    OR(sftp_utimes(sftp, path, times) == SSH_OK, "refused: %d", sftp_get_error(sftp));
    sftp_attributes found = sftp_stat(sftp, path);
    OR(found && found->mtime == 1577836800, "another time: %u", found ? found->mtime : 0);
    sftp_attributes_free(found);
    return 1;
}

static int is_missing(void) {
    OR(!sftp_open(sftp, at("missing"), O_RDONLY, 0), "opened");
    OR(sftp_get_error(sftp) == SSH_FX_NO_SUCH_FILE, "error %d", sftp_get_error(sftp));
    return 1;
}

static int removes(void) {
    OR(sftp_unlink(sftp, at("a/renamed")) == SSH_OK && sftp_unlink(sftp, at("a/part")) == SSH_OK, "refused: %d", sftp_get_error(sftp));
    return names_of(at("a"), 0, 1, "b");
}

static int removes_directories(void) {
    const char *names[] = {"a/b/c", "a/b", "a"};
    if (!renames("a/b/c/large", "kept")) return 0;
    OR(sftp_rmdir(sftp, at("a/b")) != SSH_OK, "a directory with something in it was removed");
    for (int index = 0; index < 3; index++)
        OR(sftp_rmdir(sftp, at(names[index])) == SSH_OK, "%s: %d", names[index], sftp_get_error(sftp));
    return names_of(at(""), 0, 3, "seed.txt", "seeded", "kept");
}

int main(void) {
    static char small[MAX], large[MAX], more[MAX];
    size_t small_size = contents("small", small), large_size = contents("large", large);
    memcpy(more, small, small_size);
    memcpy(more + small_size, "more", 4);

    check("login-password", enter(0) && names_of(at(""), 0, 2, "seed.txt", "seeded") && leave());
    check("login-key", enter(1));
    if (!sftp) return 1;
    check("list", names_of(at(""), 0, 2, "seed.txt", "seeded"));
    check("stat-file", stats(at("seed.txt"), SSH_FILEXFER_TYPE_REGULAR, 4));
    check("stat-directory", stats(at("seeded"), SSH_FILEXFER_TYPE_DIRECTORY, 0));
    check("mkdir-nested", makes_nested());
    check("put-small", put(at("a/small"), small, small_size, O_CREAT | O_TRUNC));
    check("put-large", put(at("a/b/c/large"), large, large_size, O_CREAT | O_TRUNC));
    check("get-small", holds(at("a/small"), small, small_size));
    check("get-large", holds(at("a/b/c/large"), large, large_size));
    check("append", put(at("a/small"), "more", 4, O_APPEND) && holds(at("a/small"), more, small_size + 4));
    check("resume", put(at("a/part"), large, 3000000, O_CREAT | O_TRUNC) && put(at("a/part"), large, large_size, 0)
        && holds(at("a/part"), large, large_size));
    check("rename", renames("a/small", "a/renamed"));
    check("walk", names_of(at(""), 1, 4, "seed.txt", "seeded/inner.txt", "a/renamed", "a/b/c/large"));
    check("missing", is_missing());
    check("times", sets_time(at("a/renamed")));
    check("remove", removes());
    check("rmdir", removes_directories());
    leave();
    return 0;
}
