import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.sshd.sftp.client.SftpClient;
import org.apache.sshd.sftp.common.SftpConstants;
import org.apache.sshd.sftp.common.SftpException;
import org.springframework.beans.factory.support.DefaultListableBeanFactory;
import org.springframework.core.io.FileSystemResource;
import org.springframework.expression.common.LiteralExpression;
import org.springframework.integration.channel.QueueChannel;
import org.springframework.integration.file.remote.gateway.AbstractRemoteFileOutboundGateway.Option;
import org.springframework.integration.file.support.FileExistsMode;
import org.springframework.integration.sftp.filters.SftpSimplePatternFileListFilter;
import org.springframework.integration.sftp.gateway.SftpOutboundGateway;
import org.springframework.integration.sftp.inbound.SftpInboundFileSynchronizer;
import org.springframework.integration.sftp.session.DefaultSftpSessionFactory;
import org.springframework.integration.sftp.session.SftpRemoteFileTemplate;
import org.springframework.integration.support.MessageBuilder;

/** Spring Integration: its template on its default session factory; uploads go through a temporary name. */
public final class Program implements Library {
    private final DefaultSftpSessionFactory factory = new DefaultSftpSessionFactory(true);

    private Program(boolean byKey) throws IOException {
        factory.setHost(Checklist.HOST);
        factory.setPort(Checklist.PORT);
        factory.setUser(Checklist.USER);
        if (byKey) {
            factory.setPrivateKey(new FileSystemResource(Checklist.KEY));
        } else {
            factory.setPassword(Checklist.PASSWORD);
        }
        factory.setKnownHostsResource(knownHosts());
    }

    public static void main(String[] arguments) {
        Checklist.run(() -> new Program(false), () -> new Program(true));
    }

    /** Without a library for Ed25519 one line with such a key costs Spring all lines of the file. */
    private static FileSystemResource knownHosts() throws IOException {
        Path known = Checklist.LOCAL.resolve("known_hosts");
        try (var lines = Files.lines(Path.of(Checklist.KNOWN_HOSTS))) {
            Files.write(known, lines.filter(line -> !line.contains("ssh-ed25519")).toList());
        }
        return new FileSystemResource(known);
    }

    private SftpRemoteFileTemplate template(String directory) {
        SftpRemoteFileTemplate template = new SftpRemoteFileTemplate(factory);
        template.setBeanFactory(new DefaultListableBeanFactory());
        template.setRemoteDirectoryExpression(new LiteralExpression(directory));
        template.setAutoCreateDirectory(true);
        template.setFileNameGenerator(message -> (String) message.getHeaders().get("name"));
        template.afterPropertiesSet();
        return template;
    }

    private SftpRemoteFileTemplate template() {
        return template("/");
    }

    private static String above(String path) {
        return path.substring(0, path.lastIndexOf('/'));
    }

    private static String last(String path) {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    @Override
    public Set<String> list(String directory) {
        Set<String> names = new TreeSet<>();
        for (SftpClient.DirEntry entry : template().list(directory)) {
            names.add(entry.getFilename());
        }
        names.remove(".");
        names.remove("..");
        return names;
    }

    @Override
    public Attributes stat(String path) {
        return template().executeWithClient((SftpClient client) -> {
            try {
                SftpClient.Attributes attributes = client.stat(path);
                return new Attributes(
                        attributes.getSize(),
                        attributes.isDirectory(),
                        attributes.getPermissions(),
                        attributes.getModifyTime().toMillis() / 1000);
            } catch (IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        });
    }

    @Override
    public void makeDirectory(String path) {
        template().execute(session -> session.mkdir(path));
    }

    /** The template makes what is missing above an upload, which goes again. */
    @Override
    public void makeDirectories(String... downwards) {
        String deepest = downwards[downwards.length - 1];
        template(deepest).send(MessageBuilder.withPayload(new byte[0]).setHeader("name", "first").build());
        template().remove(deepest + "/first");
    }

    @Override
    public void put(Path local, String remote) {
        var message = MessageBuilder.withPayload(local.toFile()).setHeader("name", last(remote)).build();
        template(above(remote)).send(message, FileExistsMode.REPLACE);
    }

    @Override
    public void get(String remote, Path local) throws IOException {
        try (OutputStream to = Files.newOutputStream(local)) {
            template().get(remote, from -> from.transferTo(to));
        }
    }

    @Override
    public void append(String remote, byte[] more) {
        template().execute(session -> {
            session.append(new ByteArrayInputStream(more), remote);
            return null;
        });
    }

    @Override
    public void rename(String from, String to) {
        template().rename(from, to);
    }

    @Override
    public void replace(String from, String to) {
        template().rename(from, to);
    }

    @Override
    public void remove(String file) {
        template().remove(file);
    }

    @Override
    public void removeDirectory(String path) {
        template().execute(session -> session.rmdir(path));
    }

    @Override
    public Set<String> walk(String directory) {
        Set<String> found = new TreeSet<>();
        for (SftpClient.DirEntry entry : template().list(directory)) {
            String name = entry.getFilename();
            if (entry.getAttributes().isDirectory() && !name.startsWith(".")) {
                walk(directory + "/" + name).forEach(below -> found.add(name + "/" + below));
            }
            found.add(name);
        }
        return found;
    }

    @Override
    public void more(String directory) {
        String inbox = directory + "/inbox";
        Checklist.check("inbound-synchronizer", () -> {
            put(Checklist.LOCAL.resolve("small"), inbox + "/one.csv");
            put(Checklist.LOCAL.resolve("large"), inbox + "/two.csv");
            SftpInboundFileSynchronizer synchronizer = new SftpInboundFileSynchronizer(factory);
            synchronizer.setBeanFactory(new DefaultListableBeanFactory());
            synchronizer.setRemoteDirectory(inbox);
            synchronizer.setFilter(new SftpSimplePatternFileListFilter("*.csv"));
            synchronizer.setPreserveTimestamp(true);
            synchronizer.setDeleteRemoteFiles(true);
            synchronizer.afterPropertiesSet();
            Path to = Checklist.LOCAL.resolve("inbox");
            Files.createDirectories(to);
            synchronizer.synchronizeToLocalDirectory(to.toFile());
            Checklist.equal(Files.mismatch(to.resolve("two.csv"), Checklist.LOCAL.resolve("large")), -1L);
            Checklist.equal(Files.mismatch(to.resolve("one.csv"), Checklist.LOCAL.resolve("small")), -1L);
            Checklist.equal(list(inbox), Set.of());
        });
        Checklist.check("outbound-gateway", () -> {
            put(Checklist.LOCAL.resolve("small"), inbox + "/deep/one.csv");
            SftpOutboundGateway gateway = new SftpOutboundGateway(factory, "ls", "payload");
            gateway.setOption(Option.NAME_ONLY, Option.RECURSIVE);
            QueueChannel answers = new QueueChannel();
            gateway.setBeanFactory(new DefaultListableBeanFactory());
            gateway.setOutputChannel(answers);
            gateway.afterPropertiesSet();
            gateway.handleMessage(MessageBuilder.withPayload(inbox).build());
            Checklist.equal(((List<?>) answers.receive(5_000).getPayload()).contains("deep/one.csv"), true);
            remove(inbox + "/deep/one.csv");
            removeDirectory(inbox + "/deep");
            removeDirectory(inbox);
        });
    }

    @Override
    public boolean saysMissing(Exception error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof SftpException status && status.getStatus() == SftpConstants.SSH_FX_NO_SUCH_FILE) {
                return true;
            }
        }
        return false;
    }

    @Override
    public void close() throws IOException {
        try {
            factory.destroy();
        } catch (Exception error) {
            throw new IOException(error);
        }
    }
}
