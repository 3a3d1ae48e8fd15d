import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/** Does what every client must be able to do, and prints a line for each: `PASS name` or `FAIL name: why`. */
final class Checklist {
    interface Check {
        void run() throws Exception;
    }

    interface Opening {
        Library open() throws Exception;
    }

    static final String HOST = System.getenv("SFTP_HOST");
    static final int PORT = Integer.parseInt(System.getenv("SFTP_PORT"));
    static final String USER = System.getenv("SFTP_USER");
    static final String PASSWORD = System.getenv("SFTP_PASSWORD");
    static final String KEY = System.getenv("SFTP_KEY");
    static final String KNOWN_HOSTS = System.getenv("SFTP_KNOWN_HOSTS");
    static final String REMOTE = System.getenv("SFTP_REMOTE");
    static final Path LOCAL = Path.of(System.getenv("SFTP_LOCAL"));

    private Checklist() {}

    static void run(Opening byPassword, Opening byKey) {
        check("login-password", () -> {
            try (Library library = byPassword.open()) {
                library.list(REMOTE);
            }
        });
        check("login-key", () -> {
            try (Library library = byKey.open()) {
                rest(library);
            }
        });
        System.out.flush();
        System.exit(0); // threads that a library left must not keep the program
    }

    private static void rest(Library library) {
        String a = REMOTE + "/a", c = a + "/b/c", small = a + "/small", large = c + "/large", part = a + "/part";
        check("list", () -> equal(library.list(REMOTE), Set.of("seed.txt", "seeded")));
        check("stat-file", () -> {
            Library.Attributes attributes = library.stat(REMOTE + "/seed.txt");
            equal(attributes.size(), 4L);
            equal(attributes.directory(), false);
            complete(attributes);
        });
        check("stat-directory", () -> {
            Library.Attributes attributes = library.stat(REMOTE + "/seeded");
            equal(attributes.directory(), true);
            complete(attributes);
        });
        check("mkdir-nested", () -> {
            library.makeDirectories(a, a + "/b", c);
            equal(library.stat(a + "/b").directory(), true);
            equal(library.list(c), Set.of());
        });
        check("put-small", () -> {
            library.put(LOCAL.resolve("small"), small);
            equal(library.stat(small).size(), Files.size(LOCAL.resolve("small")));
        });
        check("put-large", () -> {
            library.put(LOCAL.resolve("large"), large);
            equal(library.stat(large).size(), Files.size(LOCAL.resolve("large")));
        });
        check("get-small", () -> gets(library, small, "small"));
        check("get-large", () -> gets(library, large, "large"));
        check("append", () -> {
            library.append(small, "more".getBytes(StandardCharsets.US_ASCII));
            Path got = LOCAL.resolve("got");
            library.get(small, got);
            equal(Files.size(got), Files.size(LOCAL.resolve("small")) + 4);
            equal(Files.readString(got, StandardCharsets.ISO_8859_1).endsWith("more"), true);
        });
        check("resume", () -> {
            Path begun = LOCAL.resolve("begun");
            try (var from = Files.newInputStream(LOCAL.resolve("large"))) {
                Files.write(begun, from.readNBytes(3_000_000));
            }
            library.put(begun, part);
            library.resume(LOCAL.resolve("large"), part);
            gets(library, part, "large");
        });
        check("rename", () -> {
            library.rename(small, a + "/renamed");
            equal(library.list(a).contains("small"), false);
            equal(library.list(a).contains("renamed"), true);
        });
        check("rename-overwrite", () -> {
            library.put(LOCAL.resolve("small"), a + "/new");
            library.replace(a + "/new", a + "/renamed");
            gets(library, a + "/renamed", "small");
            equal(library.list(a).contains("new"), false);
        });
        check("walk", () -> {
            Set<String> found = library.walk(REMOTE);
            for (String name : Set.of("seed.txt", "seeded/inner.txt", "a/renamed", "a/b/c/large")) {
                equal(found.contains(name) ? name : found, name);
            }
        });
        library.more(a);
        check("missing", () -> {
            try {
                library.get(REMOTE + "/missing", LOCAL.resolve("got"));
            } catch (Exception error) {
                if (!library.saysMissing(error)) {
                    throw error;
                }
                return;
            }
            throw new AssertionError("a file that is not there was downloaded");
        });
        check("times", () -> {
            library.setModified(a + "/renamed", 1_577_836_800L);
            equal(library.stat(a + "/renamed").modifiedSeconds(), 1_577_836_800L);
        });
        check("remove", () -> {
            library.remove(a + "/renamed");
            equal(library.list(a).contains("renamed"), false);
            if (library.list(a).contains("part")) {
                library.remove(part);
            }
        });
        check("rmdir", () -> {
            library.rename(large, REMOTE + "/kept");
            library.removeDirectory(c);
            library.removeDirectory(a + "/b");
            library.removeDirectory(a);
            equal(library.list(REMOTE), Set.of("seed.txt", "seeded", "kept"));
        });
    }

    static void check(String name, Check check) {
        try {
            check.run();
            System.out.println("PASS " + name);
        } catch (Library.Unsupported lacking) {
            // the test knows which checks this library has
        } catch (Throwable error) {
            Throwable cause = error;
            StringBuilder why = new StringBuilder();
            while (cause != null) {
                why.append(cause).append("; ");
                cause = cause.getCause();
            }
            System.out.println("FAIL " + name + ": " + why.toString().replace('\n', ' '));
        }
    }

    static void equal(Object got, Object wanted) {
        if (!wanted.equals(got)) {
            throw new AssertionError(got + " where " + wanted + " is right");
        }
    }

    /** Size may be anything; mode and time must be there and make sense. */
    private static void complete(Library.Attributes attributes) {
        if ((attributes.permissions() & 0700) == 0) {
            throw new AssertionError("no permissions");
        }
        if (attributes.modifiedSeconds() < 946_684_800L) {
            throw new AssertionError("a time before 2000: " + attributes.modifiedSeconds());
        }
    }

    private static void gets(Library library, String remote, String local) throws Exception {
        Path got = LOCAL.resolve("got");
        Files.deleteIfExists(got);
        library.get(remote, got);
        equal(Files.mismatch(got, LOCAL.resolve(local)), -1L);
    }
}
