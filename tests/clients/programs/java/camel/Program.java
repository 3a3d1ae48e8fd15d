import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.US_ASCII;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.camel.ConsumerTemplate;
import org.apache.camel.Exchange;
import org.apache.camel.ProducerTemplate;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.impl.DefaultCamelContext;

/** Camel's sftp component, as producer and as consumer. */
public final class Program {
    private static final String A = Checklist.REMOTE + "/a";

    /** The path counts from the home directory, which is the root here: absolute ones Camel discourages. */
    private static String endpoint(String path, boolean byKey, String more) {
        String secret = byKey ? "privateKeyFile=" + Checklist.KEY : "password=RAW(" + Checklist.PASSWORD + ")";
        return "sftp:" + Checklist.USER + "@" + Checklist.HOST + ":" + Checklist.PORT + path + "?" + secret
                + "&knownHostsFile=" + Checklist.KNOWN_HOSTS + "&strictHostKeyChecking=yes&useUserKnownHostsFile=false"
                + "&throwExceptionOnConnectFailed=true&maximumReconnectAttempts=0" + more;
    }

    public static void main(String[] arguments) throws Exception {
        try (DefaultCamelContext camel = new DefaultCamelContext()) {
            camel.start();
            ProducerTemplate producer = camel.createProducerTemplate();
            ConsumerTemplate consumer = camel.createConsumerTemplate();
            for (boolean byKey : new boolean[] {false, true}) {
                Checklist.check(byKey ? "login-key" : "login-password", () ->
                        received(consumer, byKey, Checklist.REMOTE, "&fileName=seed.txt", "seed"));
            }
            Checklist.check("put-small", () -> send(producer, A + "/b/c", "small", bytes("small"), ""));
            Checklist.check("get-small", () -> fetched(consumer, A + "/b/c", "small", "small"));
            Checklist.check("put-large", () ->
                    send(producer, A + "/b/c", "large", bytes("large"), "&tempFileName=${file:name}.part"));
            Checklist.check("get-large", () -> fetched(consumer, A + "/b/c", "large", "large"));
            Checklist.check("append", () -> {
                send(producer, A, "log", "first", "");
                send(producer, A, "log", "second", "&fileExist=Append");
                received(consumer, true, A, "&fileName=log", "firstsecond");
            });
            Checklist.check("overwrite", () -> {
                send(producer, A, "log", "new", "&fileExist=Override");
                received(consumer, true, A, "&fileName=log", "new");
            });
            Checklist.check("overwrite-by-temporary-name", () -> {
                String renamed = "&fileExist=Override&tempPrefix=.&eagerDeleteTargetFile=false";
                send(producer, A, "log", "newer", renamed);
                received(consumer, true, A, "&fileName=log", "newer");
            });
            Checklist.check("refuse-what-exists", () -> {
                try {
                    send(producer, A, "log", "x", "&fileExist=Fail");
                } catch (Exception refused) {
                    return;
                }
                throw new AssertionError("fileExist=Fail wrote over a file");
            });
            Checklist.check("chmod-and-times", () ->
                    send(producer, A, "dated", "x", "&chmod=640&keepLastModified=true"));
            Checklist.check("consume-recursively", () -> consumesTree(camel));
            Checklist.check("consume-and-move", () -> {
                received(consumer, true, A, "&fileName=log&move=.done/${file:name}", "newer");
                received(consumer, true, A + "/.done", "&fileName=log", "newer");
            });
            Checklist.check("consume-and-delete", () -> {
                received(consumer, true, A + "/.done", "&fileName=log&delete=true", "newer");
                nothing(consumer, A + "/.done", "");
            });
            Checklist.check("consume-with-read-lock", () -> {
                send(producer, A + "/locked", "x", "x", "");
                for (String lock : List.of("changed", "rename", "none")) {
                    String locked = "&readLock=" + lock + "&readLockMinAge=0&readLockCheckInterval=100";
                    received(consumer, true, A + "/locked", "&fileName=x" + locked, "x");
                }
            });
            Checklist.check("consume-with-done-file", () -> {
                send(producer, A + "/done", "x", "x", "&doneFileName=${file:name}.done");
                String ready = "&fileName=x&doneFileName=${file:name}.done";
                received(consumer, true, A + "/done", ready + "&streamDownload=true&delete=true", "x");
                nothing(consumer, A + "/done", "");
                received(consumer, true, A + "/locked", "&fileName=x&delete=true", "x");
            });
            Checklist.check("missing", () -> {
                String gone = "&fileName=gone&useList=false&stepwise=false&idempotent=false"
                        + "&ignoreFileNotFoundOrPermissionError=true";
                nothing(consumer, Checklist.REMOTE, gone);
            });
            Checklist.check("left-as-agreed", () -> {
                received(consumer, true, A, "&fileName=dated&delete=true", "x");
                received(consumer, true, A + "/b/c", "&fileName=small&delete=true", text("small"));
                received(consumer, true, A + "/b/c", "&fileName=large&delete=true", text("large"));
                send(producer, Checklist.REMOTE, "kept", bytes("large"), "");
            });
        }
        System.out.flush();
        System.exit(0);
    }

    private static String text(String name) throws Exception {
        return new String(bytes(name), ISO_8859_1);
    }

    private static byte[] bytes(String name) throws Exception {
        return Files.readAllBytes(Checklist.LOCAL.resolve(name));
    }

    private static void send(
            ProducerTemplate producer, String directory, String name, String body, String more) {
        send(producer, directory, name, body.getBytes(US_ASCII), more);
    }

    private static void send(
            ProducerTemplate producer, String directory, String name, byte[] body, String more) {
        producer.sendBodyAndHeader(endpoint(directory, true, more), body, Exchange.FILE_NAME, name);
    }

    private static Exchange receive(ConsumerTemplate consumer, boolean byKey, String directory, String more) {
        String keep = more.contains("delete=") || more.contains("move=") ? "" : "&noop=true&idempotent=false";
        return consumer.receive(endpoint(directory, byKey, more + keep + "&initialDelay=0&delay=200"), 20_000);
    }

    private static void received(
            ConsumerTemplate consumer, boolean byKey, String directory, String more, String wanted) {
        Exchange exchange = receive(consumer, byKey, directory, more);
        if (exchange == null) {
            throw new AssertionError("nothing came from " + directory);
        }
        try {
            byte[] body = exchange.getIn().getBody(byte[].class);
            Checklist.equal(new String(body, ISO_8859_1), wanted);
        } finally {
            consumer.doneUoW(exchange);
        }
    }

    private static void nothing(ConsumerTemplate consumer, String directory, String more) {
        String polled = endpoint(directory, true, more + "&noop=true&initialDelay=0&delay=200");
        Exchange exchange = consumer.receive(polled, 1_500);
        if (exchange != null) {
            consumer.doneUoW(exchange);
            throw new AssertionError("still there: " + exchange.getIn().getHeader(Exchange.FILE_NAME));
        }
    }

    private static void fetched(ConsumerTemplate consumer, String directory, String name, String wanted)
            throws Exception {
        received(consumer, true, directory, "&fileName=" + name, text(wanted));
    }

    /** A route from the server to a local directory, as most who use Camel have. */
    private static void consumesTree(DefaultCamelContext camel) throws Exception {
        Path to = Checklist.LOCAL.resolve("tree");
        Set<Path> wanted = new TreeSet<>();
        for (String name : List.of(
                "seed.txt", "seeded/inner.txt", "a/log", "a/dated", "a/b/c/small", "a/b/c/large")) {
            wanted.add(to.resolve(name));
        }
        camel.addRoutes(new RouteBuilder() {
            @Override
            public void configure() {
                from(Program.endpoint(Checklist.REMOTE, true, "&recursive=true&noop=true&initialDelay=0&delay=500"))
                        .routeId("tree").to("file:" + to);
            }
        });
        long end = System.nanoTime() + 30_000_000_000L;
        while (!wanted.stream().allMatch(Files::exists) || camel.getInflightRepository().size() > 0) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not there after 30 s: "
                        + wanted.stream().filter(file -> !Files.exists(file)).toList());
            }
            Thread.sleep(50);
        }
        camel.getRouteController().stopRoute("tree");
        Checklist.equal(Files.mismatch(to.resolve("a/b/c/large"), Checklist.LOCAL.resolve("large")), -1L);
    }
}
