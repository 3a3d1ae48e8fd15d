import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystem;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.sshd.client.SshClient;
import org.apache.sshd.client.keyverifier.KnownHostsServerKeyVerifier;
import org.apache.sshd.client.keyverifier.RejectAllServerKeyVerifier;
import org.apache.sshd.client.session.ClientSession;
import org.apache.sshd.common.keyprovider.FileKeyPairProvider;
import org.apache.sshd.sftp.client.SftpClientFactory;

/** Apache MINA through its NIO file system: what `java.nio.file.Files` does on a disk, done over SFTP. */
public final class Program implements Library {
    private final SshClient ssh = SshClient.setUpDefaultClient();
    private final ClientSession session;
    private final FileSystem files;

    private Program(boolean byKey) throws IOException {
        ssh.setServerKeyVerifier(
                new KnownHostsServerKeyVerifier(RejectAllServerKeyVerifier.INSTANCE, Path.of(Checklist.KNOWN_HOSTS)));
        ssh.start();
        session = ssh.connect(Checklist.USER, Checklist.HOST, Checklist.PORT).verify(20_000).getSession();
        if (byKey) {
            session.setKeyIdentityProvider(new FileKeyPairProvider(Path.of(Checklist.KEY)));
        } else {
            session.addPasswordIdentity(Checklist.PASSWORD);
        }
        session.auth().verify(20_000);
        files = SftpClientFactory.instance().createSftpFileSystem(session);
    }

    public static void main(String[] arguments) {
        Checklist.run(() -> new Program(false), () -> new Program(true));
    }

    @Override
    public Set<String> list(String directory) throws IOException {
        try (Stream<Path> entries = Files.list(files.getPath(directory))) {
            return entries.map(entry -> entry.getFileName().toString()).collect(Collectors.toSet());
        }
    }

    @Override
    public Attributes stat(String path) throws IOException {
        PosixFileAttributes attributes = Files.readAttributes(files.getPath(path), PosixFileAttributes.class);
        int mode = attributes.permissions().isEmpty() ? 0 : 0700;
        return new Attributes(
                attributes.size(), attributes.isDirectory(), mode, attributes.lastModifiedTime().toMillis() / 1000);
    }

    @Override
    public void makeDirectory(String path) throws IOException {
        Files.createDirectory(files.getPath(path));
    }

    @Override
    public void makeDirectories(String... downwards) throws IOException {
        Files.createDirectories(files.getPath(downwards[downwards.length - 1]));
    }

    @Override
    public void put(Path local, String remote) throws IOException {
        Files.copy(local, files.getPath(remote), StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public void get(String remote, Path local) throws IOException {
        Files.copy(files.getPath(remote), local, StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public void append(String remote, byte[] more) throws IOException {
        Files.write(files.getPath(remote), more, StandardOpenOption.APPEND);
    }

    @Override
    public void rename(String from, String to) throws IOException {
        Files.move(files.getPath(from), files.getPath(to));
    }

    @Override
    public void replace(String from, String to) throws IOException {
        Files.move(files.getPath(from), files.getPath(to), StandardCopyOption.REPLACE_EXISTING);
    }

    @Override
    public void remove(String file) throws IOException {
        Files.delete(files.getPath(file));
    }

    @Override
    public void removeDirectory(String path) throws IOException {
        Files.delete(files.getPath(path));
    }

    @Override
    public Set<String> walk(String directory) throws IOException {
        Path root = files.getPath(directory);
        Set<String> found = new TreeSet<>();
        try (Stream<Path> entries = Files.walk(root)) {
            entries.forEach(entry -> found.add(root.relativize(entry).toString()));
        }
        return found;
    }

    /** Both times: version 3 has them only together, so MINA's `Files.setLastModifiedTime` sends nothing. */
    @Override
    public void setModified(String path, long seconds) throws IOException {
        FileTime time = FileTime.fromMillis(seconds * 1000);
        Files.getFileAttributeView(files.getPath(path), BasicFileAttributeView.class).setTimes(time, time, null);
    }

    @Override
    public void more(String directory) {
        Path top = files.getPath(directory, "more");
        Path file = top.resolve("one.csv");
        Checklist.check("nio-copy", () -> {
            Files.createDirectories(top.resolve("deep/er"));
            Files.write(file, new byte[] {1, 2, 3});
            Files.copy(file, top.resolve("deep/er/two.csv"));
            Checklist.equal(Files.mismatch(file, top.resolve("deep/er/two.csv")), -1L);
        });
        Checklist.check("nio-access", () -> {
            Checklist.equal(Files.isReadable(file) && Files.isWritable(file) && Files.isRegularFile(file), true);
            Checklist.equal(Files.exists(top.resolve("none")) || Files.isDirectory(file), false);
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
        });
        Checklist.check("nio-pattern", () -> {
            Set<String> found = new TreeSet<>();
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(top, "*.csv")) {
                entries.forEach(entry -> found.add(entry.getFileName().toString()));
            }
            Checklist.equal(found, Set.of("one.csv"));
        });
        Checklist.check("nio-channel", () -> {
            try (SeekableByteChannel channel = Files.newByteChannel(file, StandardOpenOption.READ)) {
                channel.position(1);
                ByteBuffer rest = ByteBuffer.allocate(10);
                Checklist.equal(channel.read(rest), 2);
                Checklist.equal((int) rest.get(0), 2);
                Checklist.equal(channel.size(), 3L);
            }
        });
        Checklist.check("nio-create-new", () -> {
            try {
                Files.write(file, new byte[1], StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            } catch (IOException refused) {
                return; // version 3 has no status of its own for it
            }
            throw new AssertionError("a file that is there was made anew");
        });
        Checklist.check("nio-tree-removal", () -> {
            Files.walkFileTree(top, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult visitFile(Path path, BasicFileAttributes attributes) throws IOException {
                    Files.delete(path);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path path, IOException error) throws IOException {
                    Files.delete(path);
                    return FileVisitResult.CONTINUE;
                }
            });
            Checklist.equal(Files.exists(top), false);
        });
    }

    @Override
    public boolean saysMissing(Exception error) {
        return error instanceof NoSuchFileException;
    }

    @Override
    public void close() throws IOException {
        files.close();
        session.close();
        ssh.stop();
    }
}
