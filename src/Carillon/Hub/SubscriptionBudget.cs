using System.Runtime.InteropServices;

namespace Carillon.Hub;

/// <summary>
/// The memory that the subscriptions of all connections take, and each account's share of it: an account that invents channels fills its
/// own share, and
/// everybody else can still join.
/// </summary>
/// <param name="limit">How many bytes all subscriptions may take.</param>
sealed class SubscriptionBudget(long limit)
{
    // Measured on 64 bits, rounded up: a channel with its room, its policies and the people who are present in it; a connection's place in
    // all of these.
    public const int ChannelCost = 2048, JoinCost = 512;

    // An account cannot keep more than one in so many from the others.
    const int Shares = 8;

    readonly Lock _gate = new();
    readonly Dictionary<string, long> _accounts = new(StringComparer.Ordinal);
    long _held;

    /// <summary>How many bytes are taken.</summary>
    public long Held
    {
        get
        {
            lock (_gate) return _held;
        }
    }

    /// <summary>How many accounts have taken some.</summary>
    public int Accounts
    {
        get
        {
            lock (_gate) return _accounts.Count;
        }
    }

    /// <summary>
    /// Takes bytes for an account. False: nothing was taken, because the account or all accounts together have used their share.
    /// </summary>
    public bool TryTake(string account, long bytes)
    {
        lock (_gate)
        {
            if (_held + bytes > limit || _accounts.GetValueOrDefault(account) + bytes > limit / Shares) return false;
            Add(account, bytes);
            return true;
        }
    }

    /// <summary>
    /// Takes bytes even where there are not enough: for the channels that every connection has, bounded by the number of connections.
    /// </summary>
    public void Take(string account, long bytes)
    {
        lock (_gate) Add(account, bytes);
    }

    /// <summary>Gives bytes back.</summary>
    public void GiveBack(string account, long bytes)
    {
        lock (_gate) Add(account, -bytes);
    }

    void Add(string account, long bytes)
    {
        _held += bytes;
        if ((CollectionsMarshal.GetValueRefOrAddDefault(_accounts, account, out _) += bytes) == 0) _accounts.Remove(account);
    }
}
