// Sends the posts on standard input, one JSON object a line, with kafka-clients; Jackson reads the key.

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public class ProducePosts {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static String userKey(String line) throws Exception {
        var post = JSON.readTree(line);
        return post.required("platform").textValue() + ":" + post.required("user_id").textValue();
    }

    public static void main(String[] arguments) throws Exception {
        var environment = System.getenv();
        var topic = environment.getOrDefault("KOL_PREFIX", "") + "posts";
        // No partitioner is named: the default is murmur2 of the key.
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", environment.getOrDefault("KOL_BROKER", "127.0.0.1:9092"),
            "acks", "all",
            "enable.idempotence", true,
            "linger.ms", 20);
        var strings = new StringSerializer();
        var refused = new AtomicReference<Exception>();
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (var producer = new KafkaProducer<String, String>(settings, strings, strings)) {
            String line;
            while (refused.get() == null && (line = lines.readLine()) != null) {
                producer.send(
                    new ProducerRecord<>(topic, userKey(line), line),
                    (place, error) -> refused.compareAndSet(null, error));
            }
        } // closing waits for the broker's answers
        if (refused.get() != null) {
            throw refused.get();
        }
    }
}
