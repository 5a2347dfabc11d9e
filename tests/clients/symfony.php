<?php
// Does what a Symfony application does with the Mercure component of Debian: publishes updates, and gives its pages the cookie
// and the Link header for the hub.
//
//   php symfony.php URL PUBLISHERS-KEY SUBSCRIBERS-KEY
//
// Reads one order a line from standard input, as JSON, and prints one answer a line: what came of it, or why nothing did.

declare(strict_types=1);

require_once 'Symfony/Component/Mercure/autoload.php';

use Symfony\Component\HttpClient\CurlHttpClient;
use Symfony\Component\HttpClient\NativeHttpClient;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\Mercure\Authorization;
use Symfony\Component\Mercure\Discovery;
use Symfony\Component\Mercure\Exception\RuntimeException;
use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\HubRegistry;
use Symfony\Component\Mercure\Jwt\FactoryTokenProvider;
use Symfony\Component\Mercure\Jwt\TokenFactoryInterface;
use Symfony\Component\Mercure\Publisher;
use Symfony\Component\Mercure\Update;
use Symfony\Component\WebLink\HttpHeaderSerializer;
use Symfony\Contracts\HttpClient\Exception\HttpExceptionInterface;

// What lcobucci/jwt does for others: Debian has no package of it.
final class Hs256 implements TokenFactoryInterface
{
    public function __construct(private string $key)
    {
    }

    public function create(?array $subscribe = [], ?array $publish = [], array $additionalClaims = []): string
    {
        $claims = array_map(fn ($claim) => $claim instanceof DateTimeInterface ? $claim->getTimestamp() : $claim, $additionalClaims);
        $claims['mercure'] = array_filter(['subscribe' => $subscribe, 'publish' => $publish], 'is_array');
        $signed = $this->part(json_encode(['typ' => 'JWT', 'alg' => 'HS256'])).'.'.$this->part(json_encode($claims));

        return $signed.'.'.$this->part(hash_hmac('sha256', $signed, $this->key, true));
    }

    private function part(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}

[, $url, $publishersKey, $subscribersKey] = $argv;

$publish = function (array $order) use ($url, $publishersKey): array {
    $tokens = new FactoryTokenProvider(new Hs256($publishersKey), [], $order['granted'] ?? ['*']);
    $client = ($order['client'] ?? 'curl') === 'curl' ? new CurlHttpClient() : new NativeHttpClient();
    $update = new Update(
        $order['topic'],
        $order['data'],
        $order['private'] ?? false,
        $order['id'] ?? null,
        $order['type'] ?? null,
        $order['retry'] ?? null,
    );
    $way = $order['by'] ?? 'hub';

    return ['id' => $way === 'hub' ? (new Hub($url, $tokens, null, null, $client))->publish($update) : (new Publisher($url, $tokens, $client))($update)];
};

$serve = function (array $order) use ($url, $publishersKey, $subscribersKey): array {
    $hub = new Hub($url, new FactoryTokenProvider(new Hs256($publishersKey)), new Hs256($subscribersKey));
    $registry = new HubRegistry($hub);
    $request = Request::create($order['page']);
    (new Discovery($registry))->addLink($request);
    $cookie = (new Authorization($registry))->createCookie($request, $order['subscribe']);

    return ['cookie' => (string) $cookie, 'link' => (new HttpHeaderSerializer())->serialize($request->attributes->get('_links')->getLinks())];
};

while (($line = fgets(STDIN)) !== false) {
    $order = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    try {
        $answer = isset($order['page']) ? $serve($order) : $publish($order);
    } catch (RuntimeException|HttpExceptionInterface $refusal) {
        // The class Hub puts an exception of its own around the client's, the class Publisher does not.
        $cause = $refusal instanceof RuntimeException ? $refusal->getPrevious() : $refusal;
        $answer = ['refused' => $cause instanceof HttpExceptionInterface ? $cause->getResponse()->getStatusCode() : $cause->getMessage()];
    }
    echo json_encode($answer, JSON_THROW_ON_ERROR), "\n";
}
